"""Code for a new workspace's notebooks, as text: fields, contracts, functions of the clock, examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ringbound.starting.look import Column
from ringbound.starting.roles import Roles, classes_of

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
    """Return bounds far beyond the numbers that were seen; whole ones that never were negative are counts.

    >>> bounds(np.array([2.0, 37.0])), bounds(np.array([0.5, 1.0]))
    ((0.0, 400.0), (-10.0, 10.0))
    """
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    far = min(_round_up(max(abs(low), abs(high), 1e-12)) * WIDER, 1e300)
    counts = low >= 0 and bool((values[~np.isnan(values)] % 1 == 0).all())
    return (0.0 if counts else -far, far)


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


def quoted(values: Sequence[str]) -> str:
    """Return texts as a list in code."""
    return "[" + ", ".join(map(literal, values)) + "]"


def mapping_of(values: Mapping[str, Any]) -> str:
    """Return a dictionary in code, a line each where there are many."""
    parts = [f"{literal(name)}: {literal(value)}" for name, value in values.items()]
    short = "{" + ", ".join(parts) + "}"
    return short if len(short) < 90 else "{\n    " + ",\n    ".join(parts) + ",\n}"


def literal(value: Any) -> str:
    """Return a value as it is written in code, whatever a text has in it."""
    plain = isinstance(value, str) and value.isprintable() and '"' not in value and "\\" not in value
    return f'"{value}"' if plain else repr(value)


def field_of(column: Column, roles: Roles) -> str:
    """Return the declaration of a request's field."""
    kind = (
        "timestamp"
        if column.kind == "timestamp"
        else "category"
        if column in roles.categories or column is roles.group
        else "number"
    )
    value = _example(column)
    parts = [column.name, kind, column.original, str(value) if kind == "category" else value]
    text = ", ".join(map(literal, parts))
    if column.missing:
        text += ", required=False"
    if column.kind == "boolean":  # as ingest has it: another word would be a value that no model has learnt
        text += ', pattern="yes|no"'
    if kind == "number":
        low, high = bounds(column.numbers)
        text += f", ge={low!r}, le={high!r}"
    return f"Field({text})"


def contract_of(roles: Roles, identity: str) -> str:
    """Return the columns of the contract of what is asked."""
    lines = [f'"{identity}": pa.Column(nullable=False),'] if roles.id else []
    lines += [f'"{roles.group.name}": pa.Column(str, nullable=False),'] if roles.group else []
    for column in roles.fields:
        nullable = f", nullable={bool(column.missing)}"
        if column.kind == "timestamp":
            lines.append(f'"{column.name}": pa.Column(INSTANT{nullable}),')
        elif column in roles.categories:
            lines.append(f'"{column.name}": pa.Column(str{nullable}),')
        else:
            low, high = bounds(column.numbers)
            kind = "pd.Int64Dtype()" if column.kind == "integer" else "pa.Float64"
            lines.append(f'"{column.name}": pa.Column({kind}, pa.Check.in_range({low!r}, {high!r}){nullable}),')
    if roles.task == "multiclass":
        names, nullable = quoted(list(classes_of(roles.label))), f", nullable={bool(roles.label.missing)}"
        lines.append(f'"{roles.label.name}": pa.Column(str, pa.Check.isin({names}){nullable}),')
    return "\n".join(f"            {line}" for line in lines)


def functions_of(roles: Roles) -> str:
    """Return the functions of the clock, and of other times that are known."""
    when = roles.time.name
    parts = [
        f'def clock({when}):\n    """What a clock on the spot shows."""\n    return local_clock({when}, ZONE)',
        'def clock_weekday(clock):\n    """Day of the week, Monday 0."""\n'
        '    return (clock.astype("datetime64[D]").astype(np.int64) + 3) % 7',
    ]
    if by_hour(roles.time.values.dropna()):
        hours = '(clock - clock.astype("datetime64[D]")) / np.timedelta64(1, "h")'
        parts.append(f'def clock_hour(clock):\n    """Hours since midnight."""\n    return {hours}')
    if by_week(roles):
        hours = '(clock - clock.astype("datetime64[D]")) / np.timedelta64(1, "h")'
        parts.append(
            f'def hour_of_week({when}):\n    """Hours since Monday began, on the spot: of requests and of outcomes."""\n'
            f"    clock = local_clock({when}, ZONE)\n    return 24 * clock_weekday(clock) + np.floor({hours})"
        )
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


def by_week(roles: Roles) -> bool:
    """Return whether there are many rows a day, for months: then each hour of the week has a history of its own."""
    times = roles.time.values.dropna()
    days = max(1, (times.max() - times.min()).days)
    return by_hour(times) and days >= 3 * 28 and len(times) >= 12 * days


def derived_of(roles: Roles) -> tuple[str, str]:
    """Return what requests, and what events derive, as code."""
    if not by_week(roles):
        return "clock", ""
    return "clock, hour_of_week", '\n    derived={"hour_of_week": (hour_of_week, "time")},'


def _long(roles: Roles) -> bool:
    times = roles.time.values.dropna()
    return (times.max() - times.min()).days > 400


def number_names(roles: Roles) -> list[str]:
    """Return the numbers of the set as code: functions, and fields by their names."""
    names = ["clock_hour"] if by_hour(roles.time.values.dropna()) else []
    names += ["clock_weekday", *(["clock_yearday"] if _long(roles) else [])]
    return [
        *names,
        *(f"hours_since_{column.name}" for column in roles.times),
        *(literal(column.name) for column in roles.numbers),
    ]


def examples_of(roles: Roles, horizon_h: float, mature_h: float) -> str:
    """Return two questions like the last rows, asked when the last outcome is known: the present of `make serve`."""
    times = roles.time.values
    there = np.flatnonzero(times.notna())
    last = there[np.argsort(times.iloc[there].to_numpy(), kind="stable")[-2:]]
    later = (times.max() + pd.Timedelta(hours=mature_h + horizon_h)).floor("h") - times.iloc[last[-1]]
    rows = []
    for row in last:
        plain = {}
        for column in roles.asked:
            value = column.values.iloc[row]
            value = _plain(value + later if column.kind == "timestamp" else value)
            is_text = column in roles.categories or column is roles.group
            plain[column.name] = str(value) if is_text and value is not None else value
        at = times.iloc[row] + later - pd.Timedelta(hours=horizon_h)
        rows.append(plain | {"at": _plain(at)})
    return "[\n" + "".join(f"    {_indented(mapping_of(row))},\n" for row in rows) + "]"


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")
