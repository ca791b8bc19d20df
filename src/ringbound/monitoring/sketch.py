"""whylogs profiles of what was asked and answered: one file a day and shard, which add up to windows."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from ringbound.features.columns import Category
from ringbound.monitoring.days import start_of
from ringbound.monitoring.seen import Known, Seen

MOST_ROWS = 1000
"""So many rows of a shard are profiled at most: whylogs takes microseconds for each value, and what is decided is counted."""
SHOWN = {
    "distribution/min": "min",
    "distribution/max": "max",
    "distribution/mean": "mean",
    "distribution/stddev": "spread",
    "cardinality/est": "distinct",
    "counts/null": "missing",
}
"""What is shown of a profile, by whylogs' names."""


def sketch_day(folder: Path, day: str, shard: int, seen: Seen, known: Known | None = None) -> None:
    """Write the profile of some rows of a day's shard, evenly taken, or of what came of them, where that is final."""
    from ringbound.data.profile import profile, write_profile

    rows = np.arange(0, len(seen), -(-len(seen) // MOST_ROWS))
    columns = {name: column[rows] for name, column in seen.columns.items()}
    frame = pd.DataFrame({name: c.texts() if isinstance(c, Category) else c for name, c in columns.items()})
    watched = seen.watched[rows]
    shown = watched.texts() if isinstance(watched, Category) else watched
    frame = frame.assign(answer=shown, rung=seen.rungs[rows].astype(str))
    for name in frame.select_dtypes(include=["object", "str"]):
        frame[name] = frame[name].astype("str")
    if known is not None:
        frame = frame[[]].assign(outcome=known.outcomes[rows])
    kind = "asked" if known is None else "outcomes"
    write_profile(
        profile(frame, datetime.fromtimestamp(start_of(day) / 1e6, UTC)), folder / kind / f"{day}-{shard}.bin"
    )


def forget_day(folder: Path, day: str, kind: str) -> None:
    """Delete the profiles of a day that is read anew."""
    for file in (folder / kind).glob(f"{day}-*.bin"):
        file.unlink(missing_ok=True)


def summary_of(folder: Path, days: Iterable[str]) -> dict[str, dict[str, float | None]]:
    """Return what whylogs counted over some days, by column: extremes, mean, spread, distinct values."""
    from whylogs.core.view.dataset_profile_view import DatasetProfileView

    merged = None
    for day in days:
        for file in sorted((folder / "asked").glob(f"{day}-*.bin")):
            one = DatasetProfileView.deserialize(file.read_bytes())
            merged = one if merged is None else merged.merge(one)
    if merged is None:
        return {}
    found = {}
    for name in merged.get_columns():
        try:
            told = merged.get_column(name).to_summary_dict()
        except (OverflowError, ValueError):  # sums that are no numbers any more: this is a summary, and no more
            continue
        values = {word: float(told[theirs]) for theirs, word in SHOWN.items() if told.get(theirs) is not None}
        found[str(name)] = {word: value if abs(value) < 1e300 else None for word, value in values.items()}
    return found
