"""A problem's examples, answered: whoever opens the API's page gets an answer that makes sense."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ringbound.display.tables import Shown
from ringbound.errors import ProblemError
from ringbound.features.definition import AT
from ringbound.features.lookup import values_as_of
from ringbound.features.offline import EventTables
from ringbound.models.bundle import Bundle
from ringbound.models.stepping import LadderAnswers, doubts
from ringbound.serving.request import columns_from_rows, microseconds, row_model, validated


@dataclass(frozen=True)
class ExampleTable(Shown):
    """The examples with their answers."""

    table: pd.DataFrame
    digits = 3

    @property
    def frame(self) -> pd.DataFrame:
        """One row per example: what is asked, some of its features, and the answer."""
        return self.table


def answer_examples(bundle: Bundle, clean: Path, show: Sequence[str] = ()) -> ExampleTable:
    """Answer the problem's examples from the events in `clean`, by the rules of the service; `show` names features.

    >>> from ringbound.testing import examples
    >>> folder = examples.events().folder
    >>> answer_examples(examples.bundle(), folder, show=["depot_late_mean_1h"]).frame["decision"].tolist()
    [False, True]
    """
    problem, features = bundle.problem, bundle.features
    if not problem.examples:
        raise ProblemError(f"problem {problem.name}: expected examples for the API's page; got none; add one")
    rows = validated(row_model(features.asked), problem.examples, "example")
    columns = columns_from_rows(rows, features.request)
    windowed = None
    if features.views:
        at = np.array([microseconds(time) for time in (getattr(row, AT.name) for row in rows) if time], np.int64)
        if len(at) < len(rows):
            raise ProblemError(f"problem {problem.name}: expected every example to say `at` which time it asks")
        windowed = values_as_of(features, EventTables(clean, features.sources), at, features.keys(columns))
    values = features.compute(columns, bundle.references, windowed)
    shown: dict[str, Any] = {problem.word(name): values[name] for name in show}
    asked = pd.DataFrame([dict(example) for example in problem.examples])
    answers = bundle.full.answer(values)
    decided = bundle.task.decide(answers)
    decision = {} if decided is None else {"decision": decided}
    done = LadderAnswers(answers, np.full(len(answers), "full", object), np.full(len(answers), None))
    told: dict[str, Any] = {bundle.task.answer: bundle.task.told(answers), **decision}
    doubt = pd.DataFrame(doubts(bundle, done))
    told |= {str(name): column.to_numpy() for name, column in doubt.items()}
    return ExampleTable(asked.assign(**shown, **told))
