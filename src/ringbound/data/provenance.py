"""Where tables come from: the record that lies beside them."""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from ringbound.workspace.records import Record


@dataclass(frozen=True)
class TableFacts:
    """One table: its source, rows, first and last time, partitions, digest, and how many rows could not be read.

    `read` is how many rows the source had, where it is read whole: each is a row of the table, was left out by the table's
    own `shape` (`left_out`, negative where that adds rows), is known only `later`, or is among the `rejected`.
    """

    table: str
    source: str
    rows: int
    first: str | None
    last: str | None
    partitions: int
    sha256: str
    rejected: int = 0
    read: int | None = None
    left_out: int | None = None
    later: int | None = None


@dataclass(frozen=True)
class Provenance(Record):
    """provenance.json: `through`, the time up to which everything is known (ISO, UTC), and each table's facts."""

    made_by: ClassVar[str] = "dvc repro ingest"

    through: str
    tables: dict[str, TableFacts]

    @property
    def known_until(self) -> pd.Timestamp:
        """The time up to which everything is known."""
        return pd.Timestamp(self.through)

    @property
    def until(self) -> int:
        """The same in microseconds since 1970."""
        return self.known_until.value // 1000

    @property
    def frame(self) -> pd.DataFrame:
        """One row per table, short enough to read."""
        table = pd.DataFrame([vars(facts) for facts in self.tables.values()]).set_index("table")
        short = {"sha256": table["sha256"].str[:12], "first": table["first"].str[:16], "last": table["last"].str[:16]}
        return table.assign(**short)

    def _repr_html_(self) -> str:
        return f"<p>known through {self.through}</p>\n{self.frame.to_html(border=0, na_rep='')}"
