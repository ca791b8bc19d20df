"""What came of a policy, day by day: a record that is kept, so that a run which was killed goes on."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd

from ringbound.monitoring.days import DAY_US, day_of
from ringbound.simulation.money import Prices, mistakes
from ringbound.simulation.world import World
from ringbound.workspace.records import Record


@dataclass(frozen=True)
class Event:
    """Something that a policy did on a day: `cause`, `refused`, `canary`, `stopped` or `serves`."""

    day: str
    what: str
    why: str


@dataclass(frozen=True)
class PolicyRun(Record):
    """What came of a policy, day by day: rows with an outcome, their loss, what mistakes cost, how much had been learnt.

    `cuts` are the days up to which what served had learnt. `retrainings` are the rows that each learnt from; `causes` were
    acted on, and `paid` of them were worth it: a model that had learnt all by then would have cost less in the four weeks
    after, its price included. `alerts` are those opened.
    """

    made_by: ClassVar[str] = "ringbound simulate"

    policy: str
    days: list[str]
    rows: list[int]
    losses: list[float]
    mistakes: list[float]
    cuts: list[str]
    retrainings: list[int]
    outcomes: int = 0
    causes: int = 0
    paid: int = 0
    alerts: int = 0
    refused: int = 0
    stopped: int = 0
    events: list[Event] = field(default_factory=list)


def result_of(
    world: World, prices: Prices, name: str, answered: np.ndarray, by: np.ndarray, retrainings: list[int]
) -> PolicyRun:
    """Return what came of answers (n,) that models of the cuts `by` (n,) have given, day by day."""
    task, number = world.rows.problem.task, world.end - world.start
    chosen = world.between(world.start, world.end)
    y, answers, days, cuts = world.rows.y[chosen], answered[chosen], world.days[chosen] - world.start, by[chosen]
    here = ~np.isnan(y)

    def sums(values: np.ndarray) -> list[float]:
        return [round(float(one), 6) for one in np.bincount(days[here], values, number)]

    served = pd.Series(cuts).groupby(days).median().reindex(range(number)).ffill().bfill().astype(int)
    return PolicyRun(
        policy=name,
        days=[name_of(world.start + day) for day in range(number)],
        rows=np.bincount(days[here], minlength=number).tolist(),
        losses=sums(task.losses(y[here], answers[here])),
        mistakes=sums(prices.mistake * mistakes(task, y[here], answers[here])),
        cuts=[name_of(cut) for cut in served],
        retrainings=retrainings,
    )


def name_of(day: int) -> str:
    """Return a day, counted from 1970, as it is written."""
    return day_of(day * DAY_US)
