"""In what order tests run, and where."""

from pathlib import Path

import pytest

LONGEST = (
    "test_pipeline",
    "test_retraining",
    "test_houses",
    "test_release",
    "test_turn",
    "test_new",
    "test_serving",
    "test_stage",
)
"""Whole paths, minutes each: first, so that at the end no process waits for another. What *release* and *serving*
begin with, *pipeline* has made by then, and it comes from the cache."""


def pytest_collection_modifyitems(items):
    """Put the longest files first; the rest stays in order."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository under test."""
    return Path(__file__).resolve().parents[1]
