"""The tasks there are, by their names."""

from collections.abc import Mapping
from typing import Any

from ringbound.errors import ProblemError
from ringbound.problem.classification import Classification, Ranking
from ringbound.problem.multiclass import Multiclass
from ringbound.problem.numbers import Count, Regression
from ringbound.problem.task import Task

TASKS: dict[str, Any] = {task.name: task for task in (Classification, Ranking, Multiclass, Regression, Count)}


def task_from_json(plain: Mapping[str, Any]) -> Task:
    """Return the task that `to_json` made plain data of."""
    if plain.get("name") not in TASKS:
        raise ProblemError(
            f"task: expected one of {', '.join(TASKS)}; got {plain.get('name')!r}; install a newer ringbound"
        )
    try:
        task: Task = TASKS[plain["name"]].from_json(plain)
    except KeyError as error:
        raise ProblemError(f"task: expected {error} of a {plain['name']}; make the model anew") from error
    return task
