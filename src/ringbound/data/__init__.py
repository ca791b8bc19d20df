"""From sources to clean, profiled tables."""
