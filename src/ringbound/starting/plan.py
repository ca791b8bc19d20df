"""What a new workspace declares, as text for its templates: from the roles of a table's columns."""

import importlib.util
import json
import pprint
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ringbound.errors import ProblemError
from ringbound.starting.code import (
    by_hour,
    contract_of,
    event_fields_of,
    examples_of,
    field_of,
    functions_of,
    number_names,
    scale_of,
    views_of,
    window_of,
)
from ringbound.starting.look import Column, Look, identifier
from ringbound.starting.roles import Roles

MOST_SLICES = 30


@dataclass(frozen=True)
class Choice:
    """What was chosen by whoever asks for a workspace; hours."""

    name: str
    package: str
    horizon_h: float
    mature_h: float
    zone: str


@dataclass(frozen=True)
class Periods:
    """By what rows are split: how they are called, the expression that gives them, how many judge and measure."""

    word: str
    of_rows: str
    of_clean: str
    valid: int
    test: int


def texts(table: Look, roles: Roles, choice: Choice) -> dict[str, str]:
    """Return what stands where in the templates, by the names of the places."""
    periods = periods_of(roles, choice)
    about = {
        "file": table.path.name,
        "looked": f"{table.rows:,}",
        "rows": "rows",
        "name": choice.name,
        "package": choice.package,
        "zone": choice.zone or "UTC",
        "time": roles.time.name,
        "id": roles.id.name if roles.id else "row_id",
        "label": roles.label.name,
        "horizon_h": repr(float(choice.horizon_h)),
        "mature_h": repr(float(choice.mature_h)),
        "periods": periods.word,
        "inferred": _inferred(table, roles, choice, periods),
    }
    return (
        about
        | _of_ingest(table, roles, choice, about["id"])
        | _of_validate(roles, periods, about["id"])
        | _of_features(roles, choice, periods)
        | _of_problem(roles, choice)
    )


def _of_ingest(table: Look, roles: Roles, choice: Choice, identity: str) -> dict[str, str]:
    columns = [column for column in table.columns.values() if column.odd < table.rows]
    names = [identity, *(column.name for column in roles.fields), roles.label.name]
    kinds = {column.name: _declared(column, roles) for column in columns} | {"row_id": "string"}
    row_columns = {name: "string" if kinds[name] == "boolean" else kinds[name] for name in dict.fromkeys(names)}
    booleans = [column.name for column in columns if column.kind == "boolean" and column.name in names]
    event = {"id": "string", "time": "timestamp", "available_at": "timestamp"}
    event |= {column.name: row_columns[column.name] for column in roles.entities} | {"outcome": "number"}
    through = (roles.time.values.max() + pd.Timedelta(hours=choice.mature_h)).ceil("h")
    return {
        "through": through.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "notes": _listed(table.notes) or "Every value is of its column's kind.",
        "columns": _shown({column.original: _declared(column, roles) for column in columns}),
        "renamed": _shown({column.original: column.name for column in columns if column.original != column.name}),
        "options": "".join(f", {name}={value!r}" for name, value in table.options.items()),
        "also": "".join(
            [", an id for every row" * (roles.id is None), ", yes and no for true and false" * bool(booleans)]
        ),
        "with_id": (
            '.assign(row_id=[f"r{number:09}" for number in range(len(table))])' * (roles.id is None)
            + "".join(f'.assign({n}=lambda t: t["{n}"].map({{True: "yes", False: "no"}}))' for n in booleans)
        ),
        "outcome": _outcome(roles),
        "row_columns": _shown(row_columns),
        "outcome_columns": _shown(event),
    }


def _of_validate(roles: Roles, periods: Periods, identity: str) -> dict[str, str]:
    days = roles.time.values.dt.floor("D").drop_duplicates().sort_values()
    watched = [column.name for column in [*roles.categories[:5], *roles.numbers[:10]]]
    return {
        "empty_days": str(max(3, int(days.diff().dt.days.max()) + 2)),
        "contract": contract_of(roles, identity),
        "watched": repr(watched or [roles.label.name]),
        "period_of_clean": periods.of_clean,
    }


def _of_features(roles: Roles, choice: Choice, periods: Periods) -> dict[str, str]:
    y = _numbers(roles)
    when = roles.time.name
    views, shown = views_of(roles, choice.mature_h + choice.horizon_h)
    return {
        "aside": _listed([f"`{name}` {why}" for name, why in roles.aside.items()]) or "- none",
        "asked_when": f"{choice.horizon_h:g} hours before `{when}`" if choice.horizon_h else f"at `{when}`",
        "period": periods.of_rows,
        "valid": str(periods.valid),
        "test": str(periods.test),
        "request": "\n".join(f"    {field_of(column, roles)}," for column in roles.fields),
        "functions": functions_of(roles),
        "event_fields": event_fields_of(roles, y),
        "scale": str(scale_of(y)),
        "condition": CONDITION if roles.task == "classification" else "",
        "views": views,
        "shown": repr([shown]),
        "numbers": "[" + ", ".join(number_names(roles)) + "]",
        "categories": repr([column.name for column in roles.categories]),
        "label_of_rows": _outcome(roles),
    }


def _of_problem(roles: Roles, choice: Choice) -> dict[str, str]:
    times = roles.time.values
    classes = roles.task == "classification"
    sliced = [column.name for column in roles.categories if 2 <= column.distinct <= MOST_SLICES][:4]
    guarded = "which groups must not get worse (`guarded`)."
    return {
        "check_problem": f"what the two kinds of mistake cost, and {guarded}" if classes else guarded,
        "task_imports": "Classification, Costs" if classes else "Regression",
        "task": "Classification(Costs(miss=1.0, false_alarm=1.0))" if classes else "Regression()",
        "slices": "".join(f', "{name}": rows["{name}"].fillna("missing")' for name in sliced),
        "examples": examples_of(roles, choice.horizon_h, choice.mature_h),
        "question": _question(roles, choice),
        "prior": _shown(_prior(roles)),
        "stretch": "7" if (times.max() - times.min()).days >= 120 else "1",
        "mature": window_of(choice.mature_h + choice.horizon_h),
        "strengths": "1e-3, 10.0" if classes else "1e-2, 1e3",
        "evaluate_imports": "    calibration_check,\n    decision_table," if classes else "    answer_drift,",
        "evaluate_more": DECIDE if classes else DRIFT,
        "calibration": "\n  calibration_error: 0.05" if classes else "",
        "card_more": ", decisions=decisions, calibration=calibration" if classes else "",
        "least_rows": str(max(20, min(300, len(times) // 100))),
        "slice_margin": "0.02" if classes else f"{max(float(np.nanvar(_numbers(roles))) * 0.01, 1e-6):.3g}",
    }


def _outcome(roles: Roles) -> str:
    """Return the expression that gives the outcomes of `rows`, missing where there is none."""
    column = f'rows["{roles.label.name}"]'
    if roles.task == "regression":
        return f'{column}.astype("float64")'
    asked = {"True": "yes", "False": "no"}[roles.yes] if roles.label.kind == "boolean" else roles.yes
    return f'({column}.astype("str") == {json.dumps(asked)}).astype("float64").where({column}.notna())'


CONDITION = '''

def is_yes(outcome):
    """Whether it came."""
    return outcome >= 1


'''
DECIDE = """### Is it calibrated, and what is the decision worth?

```python
calibration = calibration_check(result)
calibration
```

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


def periods_of(roles: Roles, choice: Choice) -> Periods:
    """Return months, or weeks or days where there are fewer than six of what is longer."""
    local = roles.time.values.dropna().dt.tz_convert(choice.zone or "UTC")
    for word, form in (("months", "%Y-%m"), ("weeks", "%G-W%V"), ("days", "%Y-%m-%d")):
        count = local.dt.strftime(form).nunique()
        if count >= 6:
            many = max(1, round(count / 6))
            when = roles.time.name
            of_clean = f'clean["{when}"].dt.tz_convert("{choice.zone or "UTC"}").dt.strftime("{form}")'
            of_rows = f'rows["{when}"].dt.tz_convert(ZONE).dt.strftime("{form}")'
            return Periods(word, of_rows, of_clean, valid=min(many, 6), test=min(many, 6))
    raise ProblemError(f"expected rows on at least six days; {roles.time.original!r} has {count}")


def _declared(column: Column, roles: Roles) -> str:
    """Return the kind by which ingest reads a column: what is a category, or an id of digits, is a text."""
    if column in roles.categories and column.kind == "integer":
        return "string"
    return column.kind


def _numbers(roles: Roles) -> np.ndarray:
    values = roles.label.values
    if roles.task == "classification":
        return (values.astype("str") == roles.yes).astype("float64").to_numpy()
    return values.astype("float64").to_numpy()


def _prior(roles: Roles) -> dict[str, float | None]:
    """Return what the prior goes by: the category that tells most, and the hour, or else the day of the week."""
    best = max(roles.categories, key=lambda c: roles.share.get(c.original, 0.0), default=None)
    found: dict[str, float | None] = {best.name: None} if best else {}
    found |= {"clock_hour": 1.0} if by_hour(roles.time.values.dropna()) else {}
    return found or {"clock_weekday": 1.0}


def _shown(value: Mapping[str, Any]) -> str:
    return pprint.pformat(dict(value), width=116, compact=True, sort_dicts=False)


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _question(roles: Roles, choice: Choice) -> str:
    before = f", asked {choice.horizon_h:g} hours before {roles.time.name}" if choice.horizon_h else ""
    label = roles.label.original.replace('"', "'")
    return (
        f"Will {label} be {roles.yes}{before}?" if roles.task == "classification" else f"What will {label} be{before}?"
    )


def _inferred(table: Look, roles: Roles, choice: Choice, periods: Periods) -> str:
    known = f"an outcome is taken to be known {choice.mature_h:g} hours after `{roles.time.original}` (`mature_h`)"
    asked = f"the question is asked {choice.horizon_h:g} hours before `{roles.time.original}` (`horizon_h`)"
    lines = [
        f"it is a {roles.task} of `{roles.label.original}`" + (f": is it `{roles.yes}`?" if roles.yes else ""),
        f"rows are told apart by `{roles.id.original}`"
        if roles.id
        else "rows are numbered as they stand in the file: add to its end only",
        f"{asked}; {known}",
        f"by time, the last {periods.test} {periods.word} measure, the {periods.valid} before them choose",
        *table.notes,
        *(f"`{name}` is set aside: it {why}" for name, why in roles.aside.items()),
    ]
    return _listed(lines)


def package_of(folder: Path) -> str:
    """Return the name of a package for a workspace's folder; none that hides another.

    >>> package_of(Path("late orders")), package_of(Path("numpy"))
    ('late_orders', 'numpy_problem')
    """
    name = identifier(folder.absolute().name, set())
    there = importlib.util.find_spec(name)
    return f"{name}_problem" if there is not None and there.origin else name
