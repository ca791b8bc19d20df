"""Markdown as GitHub shows it."""

from collections.abc import Sequence
from typing import Any

SHOWN = 15
"""Rows of a table that are shown."""


def table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table; of many rows the first are shown, the others counted."""
    cells = lambda row: "| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in row) + " |"  # noqa: E731
    lines = [cells(names), cells(["---"] * len(names)), *(cells(row) for row in rows[:SHOWN])]
    if len(rows) > SHOWN:
        lines.append(cells([f"and {len(rows) - SHOWN} more", *[""] * (len(names) - 1)]))
    return "\n".join(lines)
