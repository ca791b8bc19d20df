"""Tables that results show themselves as."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class Shown(ABC):
    """Base of results that a notebook shows as a table, with a line above it where `caption` says something."""

    digits = 4

    @property
    @abstractmethod
    def frame(self) -> "pd.DataFrame":
        """The result as a table."""

    @property
    def caption(self) -> str:
        """What to say above the table; nothing by default."""
        return ""

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        table = self.frame.round(self.digits).to_html(border=0, na_rep="")
        page = f"<p>{self.caption}</p>\n{table}" if self.caption else table
        return {"text/plain": str(self), "text/html": page}

    def __str__(self) -> str:
        return f"{self.caption}\n{self.frame.round(self.digits)}".strip()
