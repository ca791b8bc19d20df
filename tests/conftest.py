"""In what order tests run."""

LONGEST = ("test_pipeline", "test_houses", "test_release")
"""Whole paths, minutes each: first, so that at the end no process waits for another. What *release* begins with, *pipeline*
has made by then, and it comes from the cache."""


def pytest_collection_modifyitems(items):
    """Put the longest files first; the rest stays in order."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
