"""How good a model is month by month: what the next months may be like, which an interval within some months cannot say."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ringbound.display.tables import Shown
from ringbound.errors import RecordError
from ringbound.evaluation.ladder import LadderResult
from ringbound.evaluation.uncertainty import mean_of
from ringbound.models.ladder import LadderTrial
from ringbound.problem.training import Rows

COLUMNS = ["month", "seen", "rows", "outcome", "loss", "baseline", "gain", "low", "high", "ranking"]


@dataclass(frozen=True)
class MonthTable(Shown):
    """One row per month that was judged by a model fitted on months before it.

    `seen` says whether the model was chosen on it; `gain` is how much less it loses than the baseline, with a 95% interval
    over the draw of blocks within the month; `ranking` is the task's ranking metric.
    """

    table: pd.DataFrame

    @property
    def caption(self) -> str:
        """In how many months it was better, and how far months are apart."""
        gain, words = self.table["gain"], []
        for seen in self.table["seen"].unique():
            some = gain[self.table["seen"] == seen]
            words.append(f"{(some > 0).sum()} of {len(some)} {'it was chosen on' if seen == 'chosen on' else seen}")
        return (
            f"better than the baseline in {' and '.join(words)}, by {gain.min():.3f} to {gain.max():.3f}; "
            f"losses of single months range from {self.table['loss'].min():.3f} to {self.table['loss'].max():.3f}"
        )

    @property
    def frame(self) -> pd.DataFrame:
        """The table."""
        return self.table.set_index("month")

    def write(self, file: Path) -> None:
        """Write the table as CSV."""
        self.table.to_csv(file, index=False)

    @classmethod
    def read(cls, file: Path) -> "MonthTable":
        """Read it back."""
        try:
            return cls(pd.read_csv(file, dtype={"month": str})[COLUMNS])
        except (OSError, ValueError, KeyError) as error:
            raise RecordError(f'{file.name}: expected months judged; {error}; run "dvc repro tune"') from error


def judged_months(ladder: LadderTrial, *, draws: int, seed: int) -> MonthTable:
    """Return the months on which the model was chosen, each answered by the full model as fitted on those before it.

    >>> from ringbound.testing import examples
    >>> judged_months(examples.ladder(), draws=50, seed=1).frame.index.tolist()
    ['2020-W11', '2020-W12']
    """
    validation = ladder.full.validation
    rows = ladder.full.rows.where(validation.judged)
    return _months(rows, ladder.plain["full"], ladder.plain["baseline"], "chosen on", draws=draws, seed=seed)


def month_table(result: LadderResult, judged: MonthTable, *, draws: int, seed: int) -> MonthTable:
    """Return the judged months and, after them, the unseen ones as the served model answers them.

    >>> from ringbound.testing import examples
    >>> before = judged_months(examples.ladder(), draws=50, seed=1)
    >>> month_table(examples.evaluation(), before, draws=50, seed=1).frame["seen"].tolist()
    ['chosen on', 'chosen on', 'unseen']
    """
    answers = result.answers
    later = _months(result.rows, answers["full"], result.below, "unseen", draws=draws, seed=seed)
    return MonthTable(pd.concat([judged.table, later.table], ignore_index=True))


def _months(
    rows: Rows,
    answers: np.ndarray,
    baseline: np.ndarray,
    seen: Literal["chosen on", "unseen"],
    *,
    draws: int,
    seed: int,
) -> MonthTable:
    task = rows.problem.task
    ranking = task.metrics[task.ranking]
    table = []
    for month in sorted(set(rows.months)):
        chosen = rows.months == month
        y, p, base = rows.y[chosen], answers[chosen], baseline[chosen]
        losses, others = task.losses(y, p), task.losses(y, base)
        gain, blocks = others - losses, rows.blocks[chosen]
        low, high = np.nan, np.nan
        if len(set(blocks)) > 1:
            low, high = mean_of(gain, blocks, draws=draws, seed=seed).interval(mean=True)
        rank = ranking(y, p, np.ones(len(y)))
        row = [month, seen, len(y), task.came(y, p).mean(), losses.mean(), others.mean(), gain.mean(), low, high, rank]
        table.append(row)
    return MonthTable(pd.DataFrame(table, columns=COLUMNS))
