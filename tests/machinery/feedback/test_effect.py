"""What would come if nothing were decided."""

import numpy as np
import pandas as pd
import pytest

from ringbound.feedback.effect import effect_of_decisions
from ringbound.problem.exposure import Exposure

DAY_US = 86_400_000_000


def answered(seed: int, *, n: int = 20_000, share: float = 0.1, bias: float = 0.0) -> tuple[pd.DataFrame, float]:
    """Answers of 40 days to questions of a known risk, and that risk's mean: a decision halves what comes."""
    random = np.random.default_rng(seed)
    day = random.integers(0, 40, n)
    risk = np.clip(random.beta(1, 3, n) + random.normal(0, 0.05, 40)[day], 0, 1)
    answer = np.clip(risk + bias, 0, 1)
    decided, likely = Exposure(share, ("row",), f"salt {seed}").decided(
        {"row": np.arange(n, dtype=float)}, answer >= 0.25, n
    )
    acted = np.array([one is True for one in decided])
    came = (random.random(n) < np.where(acted, risk / 2, risk)).astype(float)
    table = pd.DataFrame({"at": day * DAY_US, "answer": answer, "outcome": came, "propensity": likely})
    return table.assign(decision=pd.Series(decided, dtype=object)), float(risk.mean())


@pytest.mark.parametrize("bias", [0.0, 0.1])
def test_what_would_have_come_is_told_rightly_also_by_a_model_that_is_wrong(bias):
    covered, off = 0, []
    for seed in range(100):
        table, truth = answered(seed, bias=bias)
        found = effect_of_decisions(table)
        covered += found.low <= truth <= found.high
        off.append(found.alone - truth)
        assert found.came < 0.85 * truth  # what anybody would have said without
    assert abs(np.mean(off)) < 3 * np.std(off) / 10
    assert covered >= 89  # of 100 at 95%: fewer has a chance of one in a hundred


def test_where_nothing_or_too_little_is_left_alone_nothing_is_said():
    table, _ = answered(0, n=300, share=0.0)
    assert effect_of_decisions(table) is None
    table, _ = answered(0, n=300, share=0.05)
    assert effect_of_decisions(table) is None
    table, _ = answered(0)
    assert effect_of_decisions(table[table["at"] < 5 * DAY_US]) is None, "days are the draws, and these are too few"
    assert effect_of_decisions(table.assign(propensity=1.0)) is None
