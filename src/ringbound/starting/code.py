"""Code for a new workspace's notebooks, as text: fields, contracts, functions of the clock, views of history, examples."""

import json
import pprint
from typing import Any

import numpy as np
import pandas as pd

from ringbound.features.asof import LIMIT
from ringbound.starting.look import Column
from ringbound.starting.roles import Roles

WIDER = 10
"""How many times as far from nothing as what was seen a number may be."""


def by_hour(times: pd.Series) -> bool:
    """Return whether the time of day differs from row to row."""
    return int(times.dt.hour.nunique()) > 3


def window_of(hours: float) -> str:
    """Return hours as a window is written, a whole number of minutes, at least one."""
    minutes = max(1, round(hours * 60))
    return (
        f"{minutes // 1440}d" if minutes % 1440 == 0 else f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}min"
    )


def _round_up(value: float) -> float:
    """Return the next number with one digit that is not smaller."""
    if value == 0:
        return 0.0
    size = 10.0 ** np.floor(np.log10(abs(value)))
    return float(np.ceil(round(abs(value) / size, 9)) * size * np.sign(value))


def bounds(values: np.ndarray) -> tuple[float, float]:
    """Return bounds far beyond the numbers that were seen; what never was negative is not.

    >>> bounds(np.array([2.0, 37.0])), bounds(np.array([-3.0, 1.0]))
    ((0.0, 400.0), (-30.0, 30.0))
    """
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    far = max(_round_up(max(abs(low), abs(high)) * WIDER), 10.0)
    return (0.0 if low >= 0 else -far, far if high > 0 else 0.0)


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return float(value)
    return int(value) if isinstance(value, int | np.integer) else str(value)


def _example(column: Column) -> Any:
    value = column.values.dropna().iloc[-1]
    return _plain(value)


def field_of(column: Column, roles: Roles) -> str:
    kind = "timestamp" if column.kind == "timestamp" else "category" if column in roles.categories else "number"
    value = _example(column)
    parts = [column.name, kind, column.original.replace('"', "'"), str(value) if kind == "category" else value]
    text = ", ".join(json.dumps(part, ensure_ascii=False) for part in parts)
    if column.missing:
        text += ", required=False"
    if kind == "number":
        low, high = bounds(column.numbers)
        text += f", ge={low:g}, le={high:g}"
    return f"Field({text})"


def contract_of(roles: Roles, identity: str) -> str:
    lines = [f'"{identity}": pa.Column(nullable=False),'] if roles.id else []
    for column in roles.fields:
        nullable = f", nullable={bool(column.missing)}"
        if column.kind == "timestamp":
            lines.append(f'"{column.name}": pa.Column(INSTANT{nullable}),')
        elif column in roles.categories:
            lines.append(f'"{column.name}": pa.Column(str{nullable}),')
        else:
            low, high = bounds(column.numbers)
            kind = "pd.Int64Dtype()" if column.kind == "integer" else "pa.Float64"
            lines.append(f'"{column.name}": pa.Column({kind}, pa.Check.in_range({low:g}, {high:g}){nullable}),')
    return "\n".join(f"            {line}" for line in lines)


def functions_of(roles: Roles) -> str:
    when = roles.time.name
    parts = [
        f'def clock({when}):\n    """What a clock on the spot shows."""\n    return local_clock({when}, ZONE)',
        "def clock_hour(clock):\n"
        '    """Hours since midnight."""\n    return (clock - clock.astype("datetime64[D]")) / np.timedelta64(1, "h")',
        'def clock_weekday(clock):\n    """Day of the week, Monday 0."""\n'
        '    return (clock.astype("datetime64[D]").astype(np.int64) + 3) % 7',
    ]
    if _long(roles):
        parts.append(
            'def clock_yearday(clock):\n    """Days since New Year."""\n'
            '    return (clock.astype("datetime64[D]") - clock.astype("datetime64[Y]")) / np.timedelta64(1, "D")'
        )
    for column in roles.times:
        parts.append(
            f'def hours_since_{column.name}({when}, {column.name}):\n    """Hours from {column.name} to {when}."""\n'
            f'    return ({when} - {column.name}) / np.timedelta64(1, "h")'
        )
    return "\n\n\n".join(parts)


def _long(roles: Roles) -> bool:
    times = roles.time.values.dropna()
    return (times.max() - times.min()).days > 400


def number_names(roles: Roles) -> list[str]:
    names = ["clock_hour"] if by_hour(roles.time.values.dropna()) else []
    names += ["clock_weekday", *(["clock_yearday"] if _long(roles) else [])]
    return [
        *names,
        *(f"hours_since_{column.name}" for column in roles.times),
        *(json.dumps(column.name) for column in roles.numbers),
    ]


def scale_of(y: np.ndarray) -> int:
    known = y[~np.isnan(y)]
    scale = 1 if (known == np.round(known)).all() else 1000
    while scale > 1 and bounds(known)[1] * scale >= LIMIT / 2:
        scale //= 10
    return scale


def event_fields_of(roles: Roles, y: np.ndarray) -> str:
    low, high = bounds(y)
    fields = [field_of(column, roles) for column in roles.entities]
    value = json.dumps(float(y[~np.isnan(y)][-1]))
    words = json.dumps(f"what came: {roles.label.original}", ensure_ascii=False)
    fields.append(f'Field("outcome", "number", {words}, {value}, ge={low:g}, le={high:g})')
    return "\n".join(f"        {text}," for text in fields)


def views_of(roles: Roles, known_h: float) -> tuple[str, str]:
    """Return the declarations of views, and the name of a feature that most rows have.

    An outcome is known `known_h` hours after its question.
    """
    times = roles.time.values.dropna()
    days = max(1, (times.max() - times.min()).days)
    a_day = len(times) / times.dt.floor("D").nunique()
    spans = [span for span in ("1d", "7d", "28d") if 3 * int(span[:-1]) <= days] or ["1d"]
    short = ["3h"] if a_day >= 12 else []
    back = [24 * n - known_h for n in (1, 7) if 24 * n > known_h and 3 * n <= days and a_day >= 12]
    hours = [f"1h, {hour:g}h ago" for hour in back if hour == round(hour)]
    what = '"rate", is_yes' if roles.task == "classification" else '"mean", "outcome"'
    mean = f"({what}, {spans + short!r})"
    same = f', same_hour=("mean", "outcome", {hours!r})' if hours and roles.task == "regression" else ""
    lines = [f'view("all", entity=[], events="outcomes", mean={mean}, number=("count", {spans[0]!r}){same}),']
    for column in roles.entities:
        each = len(times) / column.distinct / days  # rows of one a day
        some = [span for span in spans if each * int(span[:-1]) >= 0.3] or [spans[-1]]
        rate = mean.replace(repr(spans + short), repr(some))
        last = f'last=("last", "outcome", {spans[-1]!r}), ' if roles.task == "regression" else ""
        lines.append(
            f'view("{column.name}", entity="{column.name}", events="outcomes", {last}mean={rate}, '
            f'number=("count", {spans[-1]!r})),'
        )
    return "\n".join(f"    {line}" for line in lines), f"all_mean_{spans[-1]}"


def examples_of(roles: Roles, horizon_h: float, mature_h: float) -> str:
    """Return two questions like the last rows, asked when the last outcome is known: the present of `make serve`."""
    times = roles.time.values
    last = np.argsort(times.to_numpy(), kind="stable")[-2:]
    later = (times.max() + pd.Timedelta(hours=mature_h + horizon_h)).floor("h") - times.iloc[last[-1]]
    rows = []
    for row in last:
        plain = {}
        for column in roles.fields:
            value = column.values.iloc[row]
            value = _plain(value + later if column.kind == "timestamp" else value)
            plain[column.name] = str(value) if column in roles.categories and value is not None else value
        at = times.iloc[row] + later - pd.Timedelta(hours=horizon_h)
        rows.append(plain | {"at": _plain(at)})
    return pprint.pformat(rows, width=116, compact=True, sort_dicts=False)
