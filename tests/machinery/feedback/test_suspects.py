"""Which outcomes are not learnt from, and which honest ones are."""

import numpy as np
import pandas as pd
import pytest

from ringbound.feedback.alarms import feedback_alarms
from ringbound.feedback.final import final_answers
from ringbound.feedback.suspects import accepted, suspects
from ringbound.store import Outcome, Prediction, SetClock, Store

DAY_US = 86_400_000_000
START = 2600 * 7 * DAY_US


def told(rows: int, keys: list[str], shares: list[float], seed: int = 0) -> pd.DataFrame:
    """Outcomes of two weeks of calibrated answers, told by keys that have these shares of them."""
    random = np.random.default_rng(seed)
    at = START + np.sort(random.integers(0, 14 * DAY_US, rows))
    answer = random.beta(1, 3, rows)
    return pd.DataFrame(
        {
            "prediction_id": [f"p{row}" for row in range(rows)],
            "at": at,
            "time": at + DAY_US // 4,
            "answer": answer,
            "outcome": (random.random(rows) < answer).astype(float),
            "told_by": random.choice(keys, rows, p=shares),
            "seq": np.arange(rows),
            "contradicted": None,
        }
    )


def test_flipped_labels_of_one_key_are_put_aside_and_no_others():
    table = told(8000, ["north", "south", "other"], [0.5, 0.45, 0.05])
    flipped = table["told_by"] == "other"
    table.loc[flipped, "outcome"] = 1 - table.loc[flipped, "outcome"]
    reasons = suspects(table)
    assert reasons[flipped].str.startswith("other: its outcomes of a week are 0.").all()
    assert reasons[~flipped].isna().all()


def test_a_week_of_poison_is_put_aside_and_the_honest_weeks_of_its_key_are_not():
    table = told(8000, ["north", "south"], [0.7, 0.3])
    bad = (table["told_by"] == "south") & (table["at"] >= START + 7 * DAY_US)
    table.loc[bad, "outcome"] = 1.0
    assert suspects(table).notna().equals(bad)


def test_when_the_model_fails_nobody_is_suspected():
    table = told(8000, ["north", "south"], [0.6, 0.4])
    table["outcome"] = 1 - table["outcome"]
    assert suspects(table).isna().all()


def test_one_key_alone_is_never_suspected():
    table = told(2000, ["events"], [1.0])
    table["outcome"] = 1.0
    assert suspects(table).isna().all()


def test_honest_keys_are_let_through():
    wrong = sum(suspects(told(1000, ["a", "b", "c"], [0.6, 0.3, 0.1], seed)).notna().any() for seed in range(100))
    assert wrong == 0


def test_a_place_where_the_model_is_somewhat_worse_is_let_through():
    table = told(8000, ["north", "south"], [0.6, 0.4])
    random = np.random.default_rng(1)
    harder = (table["told_by"] == "south") & (random.random(len(table)) < 0.1)
    table.loc[harder, "outcome"] = 1 - table.loc[harder, "outcome"]
    assert suspects(table).isna().all()


def test_a_key_of_easier_questions_makes_nobody_suspect():
    """Errors follow from the answers: where risk is low, little is wrong, and that is nobody's merit."""
    table = told(8000, ["easy", "hard"], [0.6, 0.4])
    random = np.random.default_rng(3)
    table["answer"] = np.where(
        table["told_by"] == "easy", random.uniform(0.01, 0.05, 8000), random.uniform(0.2, 0.6, 8000)
    )
    table["outcome"] = (random.random(8000) < table["answer"]).astype(float)
    assert suspects(table).isna().all()


def test_who_tells_over_all_that_others_told_is_found_and_theirs_stand():
    honest = told(2000, ["events"], [1.0])
    over = honest.assign(told_by="stranger", outcome=1 - honest["outcome"], time=honest["time"] + 1)
    both = pd.concat([honest, over], ignore_index=True)
    reasons = suspects(both)
    assert reasons.isna().equals(both["told_by"] == "events")
    stand = accepted(both, reasons)
    assert stand["prediction_id"].is_unique
    assert (stand["outcome"].to_numpy() == honest["outcome"].to_numpy()).all()


def test_a_few_corrections_by_another_stand():
    honest = told(2000, ["events"], [1.0])
    some = honest.iloc[:5].assign(told_by="desk", outcome=lambda t: 1 - t["outcome"], time=lambda t: t["time"] + 1)
    both = pd.concat([honest, some], ignore_index=True)
    stand = accepted(both, suspects(both)).set_index("prediction_id")
    assert (stand.loc[some["prediction_id"], "told_by"] == "desk").all()
    assert len(stand) == 2000


def test_what_cannot_be_and_what_contradicts_is_put_aside_with_the_reason():
    table = told(10, ["north"], [1.0])
    table.loc[2, "time"] = table.loc[2, "at"] - 5_000_000
    table.loc[4, "contradicted"] = "south"
    reasons = suspects(table)
    assert reasons[2] == "time: expected one after that which was asked about; it is 5.000000 s before"
    assert reasons[4].startswith("contradictory: south told another one of the same time")
    assert reasons.notna().sum() == 2


@pytest.fixture
def store(tmp_path) -> Store:
    """Answers of two weeks; those whose outcomes `other` tells come out the other way round."""
    made = Store(f"sqlite:///{tmp_path}/store.db")
    table = told(4000, ["north", "other"], [0.9, 0.1])
    rows = table.to_dict("records")
    made.record([Prediction(r["prediction_id"], r["at"], r["at"], 0, "m", "f", r["answer"], "{}", b"") for r in rows])
    for key in ("north", "other"):
        of_key = [r for r in rows if r["told_by"] == key]
        wrong = key == "other"
        made.tell(
            [Outcome(r["prediction_id"], r["time"], abs(wrong - r["outcome"])) for r in of_key], SetClock(START), key
        )
    return made


def test_a_burst_of_one_key_is_an_alarm_with_its_name(store):
    through = START + 20 * DAY_US
    answers = final_answers(store, START, through, mature=DAY_US, known_by=through)
    alarms = feedback_alarms(answers, suspects(answers))
    assert {(one.name, one.severity, one.cause) for one in alarms} == {("feedback/other", "critical", "labels")}
    assert len(alarms) == 2  # a week each
    assert "outcomes that other told of a week are put aside; other: its outcomes" in alarms[0].says
    assert store.find(alarms[0].examples)
