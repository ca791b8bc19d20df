"""The bundle at work, online."""
