"""The bundle at work: online and in batch."""
