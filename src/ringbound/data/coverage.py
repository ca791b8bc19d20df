"""Whether events are there for every day: a feed that was silent looks like a quiet day to every feature."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ringbound.display.tables import Shown
from ringbound.errors import ContractError

THIN = 0.1


@dataclass(frozen=True)
class CoverageTable(Shown):
    """One row per source: the days of all sources together, those without an event, and those with far fewer than usual."""

    missing: dict[str, list[str]]
    thin: dict[str, list[str]]
    days: int

    @property
    def frame(self) -> pd.DataFrame:
        """The table, the days by name."""
        words = lambda days: ", ".join(days[:6]) + (f" and {len(days) - 6} more" if len(days) > 6 else "")  # noqa: E731
        rows = {
            name: {"days": self.days, "without events": words(self.missing[name]), "with few": words(self.thin[name])}
            for name in self.missing
        }
        return pd.DataFrame(rows).T

    def check(self, most: int) -> None:
        """Raise `ContractError` where a source misses more than `most` days."""
        for name, days in self.missing.items():
            if len(days) > most:
                raise ContractError(
                    f"{name}: expected events on all but {most} of {self.days} days; {len(days)} have none, the first "
                    f"{days[0]}; ask the source for them, or raise the limit in params.yaml"
                )


def coverage_table(sources: Mapping[str, pd.DataFrame], *, zone: str, time: str = "time") -> CoverageTable:
    """Count events by day of the clock `zone`, from the first day of any source to the last of any.

    A day has few events where it has less than a tenth of the source's median.

    >>> days = pd.date_range("2020-03-02", periods=4, freq="D", tz="UTC").repeat([20, 20, 1, 20])
    >>> coverage_table({"calls": pd.DataFrame({"time": days}), "texts": pd.DataFrame({"time": days[:20]})}, zone="UTC").frame
                days          without events    with few
    calls          4                          2020-03-04
    texts          4  2020-03-03, 2020-03-04, 2020-03-05
    """
    local = {name: rows[time].dt.tz_convert(zone).dt.strftime("%Y-%m-%d") for name, rows in sources.items()}
    ends = [day for days in local.values() if len(days) for day in (days.min(), days.max())]
    if not ends:
        raise ContractError(f"coverage: expected events of {list(sources)}; there are none")
    every = pd.date_range(min(ends), max(ends), freq="D").strftime("%Y-%m-%d")
    counts = {name: days.value_counts().reindex(every, fill_value=0) for name, days in local.items()}
    missing = {name: list(count.index[count == 0]) for name, count in counts.items()}
    thin = {
        name: list(count.index[(count > 0) & (count < THIN * count[count > 0].median())])
        for name, count in counts.items()
    }
    return CoverageTable(missing, thin, len(every))
