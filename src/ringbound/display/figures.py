"""Figures that a notebook shows and a stage writes, the same bytes each time."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BLUE, OCHRE, GREY, RED = "#3b6ea5", "#c98a3b", "#999999", "#cc4444"
DPI = 110


class Plot:
    """A finished figure: a notebook shows it as the last thing of a cell, `save` writes it as PNG."""

    def __init__(self, figure: Any):
        self.figure = figure

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", metadata={"Software": None})
        return buffer.getvalue()

    def save(self, file: Path) -> None:
        """Write the figure as PNG."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self._repr_png_())


def panels(width: float, height: float, columns: int = 1, ratios: Sequence[float] | None = None) -> tuple[Any, Any]:
    """Return a figure, in inches, and its axes: one, or an array of `columns` side by side."""
    # Not pyplot's figure: a notebook would show that one by itself, and again.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, width_ratios=ratios)
    for one in axes if columns > 1 else [axes]:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes
