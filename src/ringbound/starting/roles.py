"""What each column of a table is for: the question's id, time and outcome, what is known when it is asked, and what is not.

What looks like an outcome, an identifier or a leak is set aside, with the reason; whoever owns the table decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from ringbound.errors import ProblemError
from ringbound.problem.multiclass import MOST_CLASSES
from ringbound.problem.training import MOST_APART
from ringbound.starting.leaks import parts_of, share_told
from ringbound.starting.look import FEW, Column, Look

Task = Literal["classification", "ranking", "multiclass", "regression", "count"]
YES_NO: tuple[Task, ...] = ("classification", "ranking")
BY_CLASS: tuple[Task, ...] = (*YES_NO, "multiclass")
LEAST_ROWS, LEAST_WEEKS = 300, 6
FEWEST_COUNTED, MOST_COUNTED = 10, 10_000
"""Whole numbers are taken for counts where the least is at most the one and the largest at most the other."""
FEWEST_OF_CLASS = 20
FEWEST_GROUPS = 50
LEAST_OF_SERIES = 50
"""Rows of each series, on average."""
FIELDS_OF_EVENTS = ("id", "time", "available_at")
MOST_TEXTS = 200
"""Different texts beyond which a column is no category of its own; it may still be looked up by."""
TELLS: dict[Task, float] = {"regression": 0.95, "count": 0.95, **dict.fromkeys(BY_CLASS, 0.8)}
"""The share of the outcome that no single column should tell; where classes have a border, rows beside it are missed."""


@dataclass(frozen=True)
class Roles:
    """What columns are for. `share` says how much of the outcome's variance each tells by itself."""

    task: Task
    label: Column
    yes: str
    """Of two values, the one that is asked about."""
    time: Column
    id: Column | None
    group: Column | None
    """Of a ranking, what rows are put in order within."""
    numbers: list[Column]
    categories: list[Column]
    times: list[Column]
    entities: list[Column]
    """Those of which the history is worth looking up, the best first."""
    panel: Column | None
    """That of them by which a table is several series, like its sites."""
    aside: dict[str, str]
    share: dict[str, float] = field(default_factory=dict)

    @property
    def fields(self) -> list[Column]:
        """What is known when the question is asked."""
        return [self.time, *self.categories, *self.numbers, *self.times]

    @property
    def asked(self) -> list[Column]:
        """What a request has: what is known, and of a ranking the group, which nothing is learnt from."""
        return [*self.groups, *self.fields]

    @property
    def groups(self) -> list[Column]:
        """The group, where there is one."""
        return [self.group] if self.group else []


def assign_roles(
    table: Look,
    *,
    label: str,
    time: str = "",
    key: str = "",
    group: str = "",
    task: str = "",
    horizon_h: float = 0.0,
) -> Roles:
    """Return what the columns of a table are for; names are those of the file, and what is not given is found.

    Questions are asked `horizon_h` hours before the time of their row. How much a column tells is judged by the first two
    thirds of the rows: the last ones are to measure by.

    `ProblemError` where that cannot be, with what to do.
    """
    target, when = _named(table, label, "--label"), _time_of(table, time)
    for column in (target, when):
        if column.odd == table.rows:
            raise ProblemError(f"{column.original}: expected single values; it holds lists or objects")
    if bool(group) != (task == "ranking") and (task or not group):
        raise ProblemError(
            "--group: expected a column for a ranking, of what is put in order together, and for nothing else"
        )
    kind, yes = _task_of(target, "ranking" if group else task)
    within = _group_of(table, group, target, when, yes) if group else None
    taken = {column.original for column in (target, when, within) if column}
    identity = _id_of(table, key, taken)
    y = _outcomes(target, kind, yes)
    taken |= {identity.original} if identity else set()
    aside = _leavings(table, taken, when, horizon_h)
    left = [column for name, column in table.columns.items() if name not in aside and name not in taken]
    panel = None if kind in BY_CLASS else _panel_of(left, when)
    numbers = [column for column in left if column is not panel]
    aside |= {} if kind in BY_CLASS else parts_of(target, numbers, y)
    early = np.argsort(when.values.to_numpy(), kind="stable")[: 2 * table.rows // 3]
    share = {column.original: share_told(column.values.iloc[early], y[early]) for column in left}
    for name, part in share.items():
        if part > TELLS[kind] and name not in aside and name != (panel and panel.original):
            aside[name] = f"tells {part:.0%} of the outcome by itself: known only with it?"
    left = [column for column in left if column.original not in aside]
    texts = [column for column in left if column.kind in ("string", "boolean")]
    entities = [
        column for column in texts if 2 <= column.distinct <= table.rows / 5 and column.name not in FIELDS_OF_EVENTS
    ]
    entities = sorted(entities, key=lambda c: (c is not panel, -share[c.original]))
    if panel and panel not in entities:
        entities = [panel, *entities]
    wide = {column.original for column in texts if column.distinct > MOST_TEXTS and column not in entities}
    aside |= dict.fromkeys(sorted(wide), "has nearly as many values as rows: a name or free text")
    return Roles(
        kind,
        target,
        yes,
        when,
        identity,
        within,
        numbers=[c for c in left if c not in texts and c.kind != "timestamp"],
        categories=[c for c in texts if c.original not in wide],
        times=[c for c in left if c.kind == "timestamp"],
        entities=entities[:3],
        panel=panel,
        aside=aside,
        share=share,
    )


def _named(table: Look, name: str, option: str) -> Column:
    if name not in table.columns:
        raise ProblemError(
            f"{option}: expected a column of {table.path.name}, one of {list(table.columns)}; got {name!r}"
        )
    return table.columns[name]


def _time_of(table: Look, name: str) -> Column:
    times = [column.original for column in table.columns.values() if column.kind == "timestamp"]
    if not name and len(times) != 1:
        raise ProblemError(
            f"--time: expected the column that says when; times, like 2013-11-27T17:15:00, are {times or 'none'}"
        )
    column = _named(table, name or times[0], "--time")
    if column.kind != "timestamp":
        example = next(iter(column.values.dropna().astype(str)), "")
        raise ProblemError(
            f"--time: expected times like 2013-11-27T17:15:00 in {column.original!r}; got {example!r}; write them so"
        )
    if column.missing > FEW:
        raise ProblemError(
            f"--time: expected the time of every row; {column.missing:.1%} have none in {column.original!r}"
        )
    weeks = column.values.dropna().dt.strftime("%G-W%V").nunique()
    if table.rows < LEAST_ROWS or weeks < LEAST_WEEKS:
        raise ProblemError(
            f"{table.path.name}: expected at least {LEAST_ROWS} rows in {LEAST_WEEKS} weeks, to learn from the earlier and "
            f"judge on the later; got {table.rows:,} rows in {weeks:,} weeks"
        )
    return column


def _task_of(label: Column, task: str) -> tuple[Task, str]:
    """Return the task that a label calls for, and the value that is asked about where it is one of two."""
    if label.missing == 1 or label.distinct < 2:
        raise ProblemError(
            f"--label: expected outcomes that differ in {label.original!r}; got {label.distinct} value(s)"
        )
    if label.kind == "timestamp":
        raise ProblemError(f"--label: expected a number or one of two values in {label.original!r}; got times")
    two = label.distinct == 2
    if not two and task in YES_NO:
        raise ProblemError(
            f"--label: expected one of two values in {label.original!r}; got {label.distinct} different ones"
            + (
                "; use --task multiclass"
                if task == "classification"
                else ": a ranking (--group) learns which rows are right"
            )
        )
    if task == "multiclass" or (not two and not task and label.kind not in ("number", "integer")):
        _check_classes(label)
        return "multiclass", ""
    if two and task in ("", *YES_NO):
        values = label.values.dropna().value_counts()  # the rarer one is asked about, of yes and no it is yes
        positive = [v for v in values.index if str(v).lower() in ("1", "1.0", "true", "yes", "y")]
        return ("ranking" if task == "ranking" else "classification"), str((positive or [values.index[-1]])[0])
    if label.kind not in ("number", "integer"):
        raise ProblemError(f"--task: expected numbers to predict in {label.original!r}; got texts")
    known = label.values.dropna().to_numpy("float64")
    whole = bool((known >= 0).all() and (known == np.floor(known)).all())
    if task == "count" and not whole:
        raise ProblemError(f"--task: expected whole numbers of at least 0 in {label.original!r}, for a count")
    few = label.distinct > FEWEST_COUNTED and known.min() <= FEWEST_COUNTED and known.max() <= MOST_COUNTED
    return ("count" if task == "count" or (not task and whole and few) else "regression"), ""


def _check_classes(label: Column) -> None:
    counts = classes_of(label)
    if not 2 < len(counts) <= MOST_CLASSES:
        raise ProblemError(
            f"--label: expected 3 to {MOST_CLASSES} classes in {label.original!r}; got {len(counts)} different values, like "
            f"{next(iter(counts))!r}; if these are numbers, write them without units and signs of money"
        )
    rarest = min(counts, key=lambda name: counts[name])
    if counts[rarest] < FEWEST_OF_CLASS:
        raise ProblemError(
            f"--label: expected at least {FEWEST_OF_CLASS} rows of each class in {label.original!r}; {rarest!r} has "
            f"{counts[rarest]}; put rare ones together under one name"
        )


def classes_of(label: Column) -> dict[str, int]:
    """Return the classes of a label, in the order of their names, each with how many rows it has."""
    counts = label.values.dropna().astype("str").value_counts()
    return {name: int(counts[name]) for name in sorted(counts.index)}


def outcomes_of(roles: "Roles") -> np.ndarray:
    """Return the outcomes of a table as numbers, (n,), or (n, classes)."""
    return _outcomes(roles.label, roles.task, roles.yes)


def _outcomes(label: Column, task: Task, yes: str) -> np.ndarray:
    """Return outcomes as numbers, (n,), NaN for missing; of classes whether each came, (n, classes)."""
    if task == "multiclass":
        texts, there = label.values.astype("str"), label.values.notna()
        return np.column_stack([(texts == name).astype("float64").where(there) for name in classes_of(label)])
    if task not in YES_NO:
        return label.values.astype("float64").to_numpy()
    is_yes = (label.values.astype("str") == yes).astype("float64")
    return is_yes.where(label.values.notna()).to_numpy()


def _panel_of(columns: Sequence[Column], when: Column) -> Column | None:
    """Return that by which a table is several series: of each there is one row a time, where all together have several."""
    if when.values.dropna().duplicated().mean() < 0.3:
        return None
    for column in columns:
        few = 2 <= column.distinct <= len(when.values) / LEAST_OF_SERIES and column.name not in FIELDS_OF_EVENTS
        if not few or column.kind not in ("string", "boolean", "integer"):
            continue
        if not pd.DataFrame({"time": when.values, "one": column.values}).dropna().duplicated().any():
            return column
    return None


def _group_of(table: Look, name: str, target: Column, when: Column, yes: str) -> Column:
    """Return the column of what is put in order together."""
    column = _named(table, name, "--group")
    if column in (target, when):
        raise ProblemError(f"--group: expected another column than the label and the time; got {name!r}")
    if missing := int(column.values.isna().sum()):
        raise ProblemError(f"--group: expected the group of every row; {missing:,} have none in {name!r}")
    rows = pd.DataFrame(
        {"group": column.values, "day": when.values.dt.floor("D"), "yes": _outcomes(target, "ranking", yes)}
    )
    groups = rows.groupby("group").agg(days=("day", "nunique"), least=("yes", "min"), most=("yes", "max"))
    if (told := int((groups["least"] < groups["most"]).sum())) < FEWEST_GROUPS:
        raise ProblemError(
            f"--group: expected {FEWEST_GROUPS} groups or more in which some rows are {yes!r} and some are not; "
            f"{told:,} of {len(groups):,} in {name!r} are so"
        )
    if (apart := float((groups["days"] > 1).mean())) > MOST_APART:
        raise ProblemError(
            f"--group: expected the rows of one {name!r} to be of one day, like those of a search; {apart:.0%} are of several"
        )
    return column


def _id_of(table: Look, name: str, others: set[str]) -> Column | None:
    if name:
        column = _named(table, name, "--id")
        repeated = int(column.values.duplicated().sum())
        if repeated or column.missing:
            raise ProblemError(
                f"--id: expected a value of its own for every row in {name!r}; {repeated:,} rows repeat one or have none"
            )
        return column
    unique = [
        column
        for column in table.columns.values()
        if column.original not in others and column.kind in ("string", "integer") and column.distinct == table.rows
    ]
    return unique[0] if unique else None


def _leavings(table: Look, used: set[str], time: Column, horizon_h: float) -> dict[str, str]:
    """Return the columns that are of no use, or were not known in time, with the reason."""
    aside = {}
    for name, column in table.columns.items():
        if name in used:
            continue
        asked = time.values - pd.Timedelta(hours=horizon_h)
        later = (column.values > asked)[column.values.notna()] if column.kind == "timestamp" else None
        if column.odd == table.rows:
            aside[name] = "holds lists or objects"
        elif column.missing == 1:
            aside[name] = "is always missing"
        elif column.distinct + (column.missing > 0) < 2:
            aside[name] = "is always the same"
        elif column.kind in ("string", "integer") and column.distinct > 0.9 * table.rows:
            aside[name] = "has a value of its own in nearly every row: an identifier or free text"
        elif later is not None and float(later.mean()) > 0.01:
            aside[name] = f"is later than the question in {later.mean():.0%} of its rows: not known when it is asked"
        elif later is not None and (column.values == time.values).all():
            aside[name] = f"is the same as {time.original}"
    return aside
