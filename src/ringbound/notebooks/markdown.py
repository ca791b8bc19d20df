"""Notebooks out of Markdown: what is fenced as Python is code, all else prose."""

import re
from pathlib import Path
from typing import Any

from ringbound.notebooks.source import clean, dumps

CELL = re.compile(r"^```python ?(\w*)\n(.*?)\n?^```$", re.MULTILINE | re.DOTALL)


def write_notebook(path: Path, text: str) -> None:
    """Write a notebook out of Markdown: what is fenced as Python is code, a word after it the cell's tag."""
    cells: list[dict[str, Any]] = []
    end = 0
    for match in [*CELL.finditer(text), None]:
        prose = text[end : match.start() if match else len(text)].strip()
        if prose:
            cells.append({"cell_type": "markdown", "metadata": {}, "source": prose})
        if match:
            tags = {"tags": [match[1]]} if match[1] else {}
            cell: dict[str, Any] = {
                "cell_type": "code",
                "metadata": tags,
                "source": match[2],
                "outputs": [],
                "execution_count": None,
            }
            cells.append(cell)
            end = match.end()
    numbered = [cell | {"id": f"{path.stem}-{number}"} for number, cell in enumerate(cells)]
    nb = {"cells": numbered, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    clean(nb)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps(nb), "utf-8")
