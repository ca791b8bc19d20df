"""What a new workspace declares, as text for its templates: from the roles of a table's columns."""

import importlib.util
import re
from pathlib import Path

import pandas as pd

from ringbound.errors import ProblemError
from ringbound.starting.by_task import (
    EVALUATES,
    TASK_IMPORTS,
    baseline_of,
    declared_task,
    outcome_of,
    slice_margin,
    stated_bound,
)
from ringbound.starting.choice import Choice, Periods
from ringbound.starting.code import (
    by_hour,
    contract_of,
    derived_of,
    examples_of,
    field_of,
    functions_of,
    literal,
    mapping_of,
    number_names,
    quoted,
    window_of,
)
from ringbound.starting.history import conditions_of, event_fields_of, scale_of, views_of
from ringbound.starting.leaks import share_told
from ringbound.starting.look import Look, identifier
from ringbound.starting.outcomes import outcome_numbers
from ringbound.starting.roles import BY_CLASS, Roles, outcomes_of
from ringbound.starting.words import inferred, limit_of, listed, many, missing_lines, plain, question_of

FORMS = {"months": "%Y-%m", "weeks": "%G-W%V"}
MOST_SLICES, SHARE = 30, 7
EACH, TELLING = 50, 0.005
"""Rows of each group of a prior, and the share of the outcome by which a column tells anything."""


def texts(table: Look, roles: Roles, choice: Choice) -> dict[str, str]:
    """Return what stands where in the templates, by the names of the places."""
    periods = periods_of(roles, choice.zone or "UTC")
    about = {
        "file": source_name(table.path),
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
        "inferred": inferred(table, roles, choice, periods),
    }
    return (
        about
        | _of_ingest(table, roles, choice, about["id"])
        | _of_validate(roles, periods, about["id"], about["zone"])
        | _of_features(roles, choice, periods)
        | _of_problem(roles, choice)
    )


def _of_ingest(table: Look, roles: Roles, choice: Choice, identity: str) -> dict[str, str]:
    columns = [column for column in table.columns.values() if column.original not in roles.aside]
    names = [identity, *(column.name for column in roles.asked), roles.label.name]
    kinds = {column.name: column.kind for column in columns} | {"row_id": "string"}
    named = [roles.label if roles.task == "multiclass" else None, roles.group]
    texts_of = [column.name for column in named if column and column.kind != "string"]
    kinds |= dict.fromkeys(texts_of, "string")
    row_columns = {name: "string" if kinds[name] == "boolean" else kinds[name] for name in dict.fromkeys(names)}
    booleans = [column.name for column in columns if column.kind == "boolean" and column.name in names]
    event = {"id": "string", "time": "timestamp", "available_at": "timestamp"}
    event |= {column.name: row_columns[column.name] for column in roles.entities} | {"outcome": "number"}
    through = (roles.time.values.max() + pd.Timedelta(hours=choice.mature_h)).ceil("h")
    return {
        "through": through.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "notes": listed([*table.notes, *missing_lines(roles)])
        or "Every value is of its column's kind, and none is missing.",
        "columns": mapping_of({column.original: column.kind for column in columns}),
        "renamed": mapping_of({column.original: column.name for column in columns if column.original != column.name}),
        "options": "".join(f", {name}={literal(value)}" for name, value in table.options.items()),
        "also": "".join(
            [
                ", an id for every row" * (roles.id is None),
                ", yes and no for true and false" * bool(booleans),
                ", names as texts" * bool(texts_of),
            ]
        ),
        "with_id": (
            '.assign(row_id=[f"r{number:09}" for number in range(len(table))])' * (roles.id is None)
            + "".join(f'.assign({n}=lambda t: t["{n}"].map({{True: "yes", False: "no"}}))' for n in booleans)
            + "".join(f'.assign({n}=lambda t: t["{n}"].astype("str").where(t["{n}"].notna()))' for n in texts_of)
        ),
        "outcome": outcome_of(roles, dropped=True),
        "row_columns": mapping_of(row_columns),
        "outcome_columns": mapping_of(event),
    }


def _of_validate(roles: Roles, periods: Periods, identity: str, zone: str) -> dict[str, str]:
    days = roles.time.values.dropna().dt.tz_convert(zone).dt.tz_localize(None).dt.floor("D").drop_duplicates()
    watched = [column.name for column in [*roles.categories[:5], *roles.numbers[:10]]]
    return {
        "empty_days": str(max(3, (days.max() - days.min()).days + 1 - len(days) + 2)),
        "contract": contract_of(roles, identity),
        "watched": quoted(watched or [roles.label.name]),
        "period_of_clean": periods.of_clean,
    }


def _of_features(roles: Roles, choice: Choice, periods: Periods) -> dict[str, str]:
    y = outcome_numbers(roles)
    when = roles.time.name
    views, shown = views_of(roles, choice.mature_h + choice.horizon_h)
    return {
        "aside": listed([f"`{name}` {why}" for name, why in roles.aside.items()]) or "- none",
        "asked_when": f"{many(choice.horizon_h, 'hours')} before `{when}`" if choice.horizon_h else f"at `{when}`",
        "period": periods.of_rows,
        "valid": str(periods.valid),
        "test": str(periods.test),
        "request": "\n".join(f"    {field_of(column, roles)}," for column in roles.asked),
        "functions": functions_of(roles),
        "event_fields": event_fields_of(roles, y),
        "scale": str(scale_of(y)),
        "condition": conditions_of(roles),
        "views": views,
        "derived": derived_of(roles)[0],
        "source_derived": derived_of(roles)[1],
        "ago": " `1h, 23h ago` is an hour that ended so long before." if " ago" in views else "",
        "shown": quoted([shown]),
        "numbers": "[" + ", ".join(number_names(roles)) + "]",
        "categories": quoted([column.name for column in roles.categories]),
        "group_of_rows": "".join(f', "{column.name}": rows["{column.name}"]' for column in roles.groups),
        "label_of_rows": outcome_of(roles),
        "by_split": 'classes="nunique"' if roles.task == "multiclass" else 'mean="mean"',
    }


def _of_problem(roles: Roles, choice: Choice) -> dict[str, str]:
    times = roles.time.values
    by_class = roles.task in BY_CLASS
    sliced = [column.name for column in roles.categories if 2 <= column.distinct <= MOST_SLICES][:4]
    guarded = "which groups must not get worse (`guarded`)."
    return {
        "check_problem": f"what the two kinds of mistake cost, and {guarded}"
        if roles.task == "classification"
        else guarded,
        "task_imports": TASK_IMPORTS[roles.task],
        "task": declared_task(roles),
        "group": "".join(f'\n    group="{column.name}",' for column in roles.groups),
        "baseline": f'\n    baseline="{baseline}",'
        if (baseline := baseline_of(roles, choice.mature_h + choice.horizon_h))
        else "",
        "slices": "".join(f'    found["{name}"] = rows["{name}"].fillna("missing")\n' for name in sliced),
        "examples": examples_of(roles, choice.horizon_h, choice.mature_h),
        "question": plain(question_of(roles, choice)),
        "question_code": literal(question_of(roles, choice)),
        "limit": literal(limit_of(roles)),
        "mature_words": f"{choice.mature_h:g} hours" if choice.mature_h < 48 else f"{choice.mature_h / 24:g} days",
        "prior": mapping_of(_prior(roles)),
        "stretch": "7" if (times.max() - times.min()).days >= 120 else "1",
        "mature": window_of(choice.mature_h + choice.horizon_h),
        "strengths": "1e-3, 10.0" if by_class else "1e-2, 1e3",
        **EVALUATES[roles.task if by_class else "number"],
        "calibration": f"\n  {stated}" if (stated := stated_bound(roles)) else "",
        "least_rows": str(max(20, min(300, len(times) // 100))),
        "slice_margin": slice_margin(roles),
    }


def source_name(path: Path) -> str:
    """Return the name under which a table is kept: one that is no pattern, and needs no quotes."""
    return re.sub(r"[^\w.()-]+", "_", path.name)


def periods_of(roles: Roles, zone: str) -> Periods:
    """Return months, or weeks where there are fewer than six of them; the last with a seventh of the rows or more measure."""
    local = roles.time.values.dropna().dt.tz_convert(zone)
    by_month, by_week = (local.dt.strftime(form).value_counts().sort_index() for form in FORMS.values())
    word, counts = ("months", by_month) if len(by_month) >= 6 else ("weeks", by_week)
    at_least = len(local) / SHARE
    held = counts[::-1].cumsum()
    test = int((held < at_least).sum()) + 1
    valid = int((held < held.iloc[test - 1] + at_least).sum()) + 1 - test
    if test + valid >= len(counts):
        raise ProblemError(f"expected rows all along; most of them are in the last {test + valid} {word}")
    when = f'["{roles.time.name}"].dt.tz_convert({{}}).dt.strftime("{FORMS[word]}")'
    return Periods(word, "rows" + when.format("ZONE"), "clean" + when.format(literal(zone)), valid, test)


def _prior(roles: Roles) -> dict[str, float | None]:
    """Return what the prior goes by: the category that tells most, of those with many rows each, and the hour."""
    times = roles.time.values.dropna()
    y = outcomes_of(roles)
    wide = [c for c in roles.categories if len(times) / max(c.distinct, 1) >= 4 * EACH]
    best = max(wide, key=lambda c: roles.share.get(c.original, 0.0), default=None)
    found: dict[str, float | None] = {best.name: None} if best and roles.share.get(best.original, 0.0) > TELLING else {}
    hours = roles.time.values.dt.hour.astype("float64")
    told = share_told(hours, y) if by_hour(times) else 0.0
    each = len(times) / 24 / (best.distinct if found and best else 1)
    found |= {"clock_hour": 1.0} if told > TELLING and each >= EACH else {}
    return found or ({best.name: None} if best else {"clock_weekday": 1.0})


def package_of(folder: Path) -> str:
    """Return the name of a package for a workspace's folder; none that hides another.

    >>> package_of(Path("late orders")), package_of(Path("numpy")), package_of(Path("class"))
    ('late_orders', 'numpy_problem', 'class_problem')
    """
    name = identifier(folder.absolute().name, set())
    there = importlib.util.find_spec(name)
    return f"{name.rstrip('_')}_problem" if name.endswith("_") or (there is not None and there.origin) else name
