"""The command line: one entry point, no domain code."""
