"""Notebooks as source, as stages of the pipeline, and what a stage depends on."""
