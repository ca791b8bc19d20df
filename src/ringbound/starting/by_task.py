"""What a new workspace's declaration, evaluation and gates say by task, as text for its templates."""

import numpy as np
import pandas as pd

from ringbound.problem.numbers import Count
from ringbound.starting.code import literal, mapping_of
from ringbound.starting.history import guesses_of
from ringbound.starting.outcomes import number_task, outcome_numbers
from ringbound.starting.roles import BY_CLASS, YES_NO, Roles, classes_of


def declared_task(roles: Roles) -> str:
    """Return the declaration of the task."""
    if roles.task == "classification":
        return "Classification(Costs(miss=1.0, false_alarm=1.0))"
    if roles.task == "ranking":
        return f"Ranking(top={_top(roles)})"
    if roles.task == "multiclass":
        return f"Multiclass(({', '.join(map(literal, classes_of(roles.label)))}))"
    task = number_task(roles)
    if isinstance(task, Count):
        return "Count()"
    said = ["relative=True"] * task.relative + ["least=0.0"] * (task.least is not None)
    return f"Regression({', '.join(said)})"


def _top(roles: Roles) -> int:
    """Return how many rows of a group are looked at: the first half of a usual one, ten at most."""
    assert roles.group
    return max(1, min(10, round(float(roles.group.values.value_counts().median()) / 2)))


def stated_bound(roles: Roles) -> str:
    """Return how far answers may be from what they state: of a number a tenth of what outcomes differ by."""
    if roles.task in BY_CLASS:
        return "calibration_error: 0.05"
    return f"bias: {max(float(np.nanstd(outcome_numbers(roles))) * 0.1, 1e-6):.3g}"


def slice_margin(roles: Roles) -> str:
    """Return by how much the loss may rise in a group: a hundredth of that of always answering the mean."""
    y = outcome_numbers(roles)
    y = y[~np.isnan(y)]
    if roles.task in BY_CLASS:
        return "0.02"
    whole = number_task(roles).losses(y, np.full(len(y), y.mean()))
    return f"{max(float(whole.mean()) * 0.01, 1e-6):.3g}"


def baseline_of(roles: Roles, known_h: float) -> str:
    """Return the feature that a series' outcome is guessed by best, as a person would; nothing where the prior is better.

    A table is a series where no two rows are of one time, or several, where none are of one time and site.
    """
    one = roles.panel.values if roles.panel else pd.Series(0, roles.time.values.index)
    table = pd.DataFrame({"time": roles.time.values, "one": one, "y": outcome_numbers(roles)}).dropna()
    if roles.task in BY_CLASS or table.duplicated(["time", "one"]).any():
        return ""
    task, y = number_task(roles), table["y"].to_numpy()
    errors = {
        name: float(np.nanmean(task.losses(y, _earlier(table, hours).to_numpy())))
        for name, hours in guesses_of(roles, known_h).items()
    }
    by_hour_of_day = table.groupby(["one", table["time"].dt.hour])["y"].transform("mean").to_numpy()
    limit = float(task.losses(y, by_hour_of_day).mean())
    known = {name: error for name, error in errors.items() if error < limit}
    return min(known, key=lambda name: known[name], default="")


def _earlier(table: pd.DataFrame, hours: float) -> pd.Series:
    """Return what came so many hours before each row, of the same series; missing where there was nothing."""
    before = table.assign(time=table["time"] + pd.Timedelta(hours=hours)).set_index(["one", "time"])["y"]
    return pd.Series(before.reindex(pd.MultiIndex.from_frame(table[["one", "time"]])).to_numpy(), table.index)


def outcome_of(roles: Roles, *, dropped: bool = False) -> str:
    """Return the expression that gives the outcomes of `rows`, missing where there is none, if they are not `dropped`."""
    column = f'rows["{roles.label.name}"]'
    if roles.task == "multiclass":
        places = mapping_of({name: place for place, name in enumerate(classes_of(roles.label))})
        texts = f'{column}.astype("str")'
        return f'{texts}.map({places}).astype("float64")' if dropped else f"{texts}.where({column}.notna())"
    if roles.task not in YES_NO:
        return f'{column}.astype("float64")'
    asked = {"True": "yes", "False": "no"}[roles.yes] if roles.label.kind == "boolean" else roles.yes
    is_asked = f'({column}.astype("str") == {literal(asked)}).astype("float64")'
    return is_asked if dropped else f"{is_asked}.where({column}.notna())"


CALIBRATED = """### Is it calibrated?

```python
calibration = calibration_check(result)
calibration
```

"""
DECIDE = """### What is the decision worth?

```python
decisions = decision_table(result, {}, draws=draws, seed=seed)
decisions
```

"""
DRIFT = """Are outcomes and answers distributed as in what the model learnt from?

```python
answer_drift(result, past, seed=seed)
```

"""


INTERVALS = """## Intervals
How often the outcome lies where the answer said that it would, over all and slice by slice.

```python
intervals = interval_table(result, by, draws=draws, seed=seed, least_rows=least_rows)
intervals
```

"""


TASK_WORDS = {"multiclass": "classification"}
TASK_IMPORTS = {
    "classification": "Classification, Costs",
    "ranking": "Ranking",
    "multiclass": "Multiclass",
    "regression": "Regression",
    "count": "Count",
}
EVALUATES = {
    "classification": {
        "evaluate_imports": "    calibration_check,\n    decision_table,",
        "evaluate_intervals": "",
        "evaluate_more": CALIBRATED + DECIDE,
        "evaluate_slices": "",
        "card_more": ", decisions=decisions, calibration=calibration",
    },
    "ranking": {
        "evaluate_imports": "    calibration_check,",
        "evaluate_intervals": "",
        "evaluate_more": CALIBRATED,
        "evaluate_slices": "",
        "card_more": ", calibration=calibration",
    },
    "multiclass": {
        "evaluate_imports": "    calibration_check,",
        "evaluate_intervals": "    interval_table,\n",
        "evaluate_more": CALIBRATED,
        "evaluate_slices": INTERVALS,
        "card_more": ", calibration=calibration, intervals=intervals",
    },
    "number": {
        "evaluate_imports": "    answer_drift,",
        "evaluate_intervals": "    interval_table,\n",
        "evaluate_more": DRIFT,
        "evaluate_slices": INTERVALS,
        "card_more": ", intervals=intervals",
    },
}
