"""The loop: what a change does, whether it may serve, and how it fares."""
