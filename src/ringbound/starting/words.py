"""What a new workspace says of its table, in words."""

import re
from collections.abc import Sequence

from ringbound.starting.by_task import TASK_WORDS
from ringbound.starting.choice import Choice, Periods
from ringbound.starting.look import FEW, Look
from ringbound.starting.outcomes import number_task, outcome_numbers
from ringbound.starting.roles import YES_NO, Roles, classes_of


def inferred(table: Look, roles: Roles, choice: Choice, periods: Periods) -> str:
    known = (
        f"an outcome is taken to be known {many(choice.mature_h, 'hours')} after `{roles.time.original}` (`mature_h`)"
    )
    asked = f"the question is asked {many(choice.horizon_h, 'hours')} before `{roles.time.original}` (`horizon_h`)"
    lines = [
        f"it is a {TASK_WORDS.get(roles.task, roles.task)} of `{roles.label.original}`"
        + (f": is it `{roles.yes}`?" if roles.yes else "")
        + "".join(f" Rows of one `{column.original}` are put in order together" for column in roles.groups)
        + _least(roles)
        + (f" by {len(classes_of(roles.label))} classes" * (roles.task == "multiclass"))
        + (": whole numbers from 0 on; `--task regression` takes them for measures" * (roles.task == "count")),
        f"rows are told apart by `{roles.id.original}`"
        if roles.id
        else "rows are numbered as they are read: add to the end of the file only, or give each an id",
        f"{asked}; {known}",
        f"by time, the last {many(periods.test, periods.word)} to measure by, the {periods.valid} before to choose by",
        *table.notes,
        *(f"`{name}` is set aside: it {why}" for name, why in roles.aside.items()),
    ]
    return listed(lines)


def _least(roles: Roles) -> str:
    """Return whether a measure is never negative, or nearly so: few that are may be mistakes."""
    if roles.task != "regression":
        return ""
    y = outcome_numbers(roles)
    below = int((y < 0).sum())
    if below and below < FEW * len(y):
        return f"; {below:,} outcomes are negative: if they are mistakes, mend them"
    return ", which is never negative: what moves it multiplies it" * (number_task(roles).least is not None)


def question_of(roles: Roles, choice: Choice) -> str:
    """Return what is asked, in words."""
    before = f", asked {many(choice.horizon_h, 'hours')} before {roles.time.original}" if choice.horizon_h else ""
    label = roles.label.original
    if roles.group:
        return f"Of which rows of one {roles.group.original} will {label} be {roles.yes}{before}?"
    return f"Will {label} be {roles.yes}{before}?" if roles.task in YES_NO else f"What will {label} be{before}?"


def limit_of(roles: Roles) -> str:
    known = ", ".join([column.original for column in roles.fields if column is not roles.time][:8])
    return f"All that a question says is taken to be known when it is asked: {known or 'its time'}."


def missing_lines(roles: Roles) -> list[str]:
    return [
        f"`{c.original}` is missing in {c.missing:.1%} of the rows" for c in [roles.label, *roles.fields] if c.missing
    ]


def listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)


def many(number: float, words: str) -> str:
    return f"{number:g} {words[:-1] if number == 1 else words}"


def plain(text: str) -> str:
    """Return a text as prose can have it: on one line, and opening no code."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).replace("```", "'''")
