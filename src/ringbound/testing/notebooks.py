"""Small notebooks and workspaces to test machinery with."""

from pathlib import Path
from typing import Any

from ringbound.notebooks.source import clean, dumps


def code_cell(source: str, *tags: str) -> dict[str, Any]:
    """Return a code cell as it stands in a notebook file."""
    metadata = {"tags": list(tags)} if tags else {}
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": [], "execution_count": None}


def prose_cell(source: str) -> dict[str, Any]:
    """Return a cell of Markdown as it stands in a notebook file."""
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def write_notebook(path: Path, *cells: dict[str, Any]) -> None:
    """Write a clean notebook with these cells."""
    numbered = [cell | {"id": f"cell-{number}"} for number, cell in enumerate(cells)]
    nb = {"cells": numbered, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    clean(nb)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps(nb), "utf-8")
