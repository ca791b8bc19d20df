"""The choice of a model: a search over candidates, each judged on months that it was not fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import optuna
import pandas as pd

from ringbound.compute.workers import open_workers
from ringbound.display.figures import BLUE, GREY, Plot, panels
from ringbound.display.tables import Shown
from ringbound.errors import FeatureError, ModelError
from ringbound.features.meaning import meaning_of
from ringbound.models.candidates import Candidate
from ringbound.models.encoding import Encoder, learn_vocabularies
from ringbound.models.search import best, search, study_key, study_url, trials_table
from ringbound.models.validation import Validation, rolling_origin
from ringbound.problem.task import repeated
from ringbound.problem.training import Rows

SHOWN = 8


@dataclass(frozen=True)
class Budget:
    """What a search may cost. `workers`, `engine` and `scheduler` change the time it takes, never the result.

    No trial begins after `minutes`. The study is kept at the URL `storage`, by default in the workspace.
    """

    trials: int
    seed: int
    minutes: float = float("inf")
    workers: int = 1
    engine: str = "local"
    scheduler: str = ""
    storage: str = ""


@dataclass(frozen=True)
class SearchResult(Shown):
    """A finished search: every trial, and the best of them."""

    rows: Rows
    encoder: Encoder
    validation: Validation
    budget: Budget
    study: optuna.Study
    candidate: Candidate
    arguments: dict[str, Any]

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial: state, loss, every argument, and the mean loss up to each fold."""
        return trials_table(self.study)

    @cached_property
    def base_loss(self) -> float:
        """The loss of always answering one number, the best of the past."""
        folds, y = self.validation.folds, self.validation.y
        task = self.rows.problem.task
        each = [task.losses(y[f.later], repeated(task.constant(y[f.past]), len(f.later))) for f in folds]
        return float(np.concatenate(each).mean())

    @property
    def caption(self) -> str:
        """The best trial in words."""
        task = self.rows.problem.task
        months = ", ".join(fold.name for fold in self.validation.folds)
        return (
            f"best of {len(self.trials)} trials: {self.candidate.name}, {task.loss} {self.study.best_value:.4f} in {months}; "
            f"one number for all {self.base_loss:.4f}; {len(self.encoder.names)} features"
        )

    @property
    def frame(self) -> pd.DataFrame:
        """The best trials."""
        return self.trials.sort_values("loss").head(SHOWN)

    def out_of_fold(self) -> np.ndarray:
        """Return the best candidate's answers for all judged rows, (m,), by models fitted on their past alone."""
        answers, folds = self.validation.answers, self.validation.folds
        if self.budget.workers == 1:
            return np.concatenate([answers(self.candidate, self.arguments, fold) for fold in folds])
        where: dict[str, Any] = {
            "workers": self.budget.workers,
            "engine": self.budget.engine,
            "scheduler": self.budget.scheduler,
        }
        with open_workers(answers, **where) as submit:
            later = [submit(self.candidate, self.arguments, fold) for fold in folds]
            return np.concatenate([future.result() for future in later])

    def progress(self) -> Plot:
        """Draw the losses trial by trial, and which arguments of the best kind explain them (fANOVA)."""
        complete = self.trials[self.trials["state"] == "complete"]
        figure, (left, right) = panels(11, 3.2, 2, [3, 2])
        for name, part in complete.groupby("candidate"):
            left.scatter(part.index, part["loss"], label=name, s=24)
        given_up = self.trials[self.trials["state"] == "pruned"]
        if len(given_up):
            top = [left.get_ylim()[1]] * len(given_up)
            left.scatter(given_up.index, top, marker="x", color=GREY, s=18, label="given up")
        left.plot(complete.index, complete["loss"].cummin(), color=GREY, linewidth=1, drawstyle="steps-post")
        left.set(xlabel="trial", ylabel=f"{self.rows.problem.task.loss}, judged months", title="The search")
        left.legend(frameon=False, fontsize=8)
        weights = self.importances()
        right.barh(list(weights)[::-1], list(weights.values())[::-1], color=BLUE, height=0.6)
        right.set(xlabel="share of the loss's variance (fANOVA)", title=f"What matters in {self.candidate.name}")
        return Plot(figure)

    def importances(self) -> dict[str, float]:
        """Return how much of the loss's variance each argument of the best kind explains, most first.

        Hutter, Hoos and Leyton-Brown, ICML 2014.
        """
        alike = optuna.create_study()
        kind = self.candidate.name
        alike.add_trials([t for t in self.study.trials if t.value is not None and t.params["candidate"] == kind])
        if len(alike.trials) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.validation.seed)
        weights = optuna.importance.get_param_importances(alike, evaluator=evaluator)
        return {name: weight for name, weight in weights.items() if name != "candidate"}

    def parallel(self) -> Plot:
        """Draw each trial of the best kind as a line through its arguments, dark for low loss."""
        complete = self.trials[(self.trials["state"] == "complete") & (self.trials["candidate"] == self.candidate.name)]
        lines = complete.sort_values("loss", ascending=False)
        names = [*self.importances(), "loss"]
        words = [name for name in names if not pd.api.types.is_numeric_dtype(lines[name])]
        lines = lines.assign(**{name: pd.factorize(lines[name], sort=True)[0].astype(float) for name in words})
        spans = {name: np.log(lines[name]) if lines[name].min() > 0 else lines[name] for name in names}
        scaled = pd.DataFrame({name: (v - v.min()) / max(v.max() - v.min(), 1e-12) for name, v in spans.items()})
        figure, axes = panels(11, 2.8)
        for place, (_, line) in enumerate(scaled.iterrows()):
            shade = 0.15 + 0.85 * place / max(len(scaled) - 1, 1)
            axes.plot(range(len(line)), line, color=BLUE, alpha=shade, linewidth=0.6 + shade)
        labels = [f"{n}\n{lines[n].min():.3g} to {lines[n].max():.3g}" for n in spans]
        axes.set_xticks(range(len(spans)), labels, fontsize=8)
        axes.set(yticks=[], title=f"Trials of {self.candidate.name}: lowest to highest value, upwards on a log scale")
        axes.spines["left"].set_visible(False)
        return Plot(figure)


def search_models(
    rows: Rows, candidates: Sequence[Candidate], budget: Budget, *, features: Sequence[str] | None = None
) -> SearchResult:
    """Search the candidates on some features (default: all); return every trial and the best.

    Each is fitted on all that is past at a cut-off and judged by the task's loss on the month that follows, once for each
    month of the split `valid` (rolling origin). Texts become their place in a vocabulary of the split `train`: what
    first comes later is missing, as it will be in service. In a share of the rows a candidate learns without the fields
    that a question may lack; it is judged on what is on record.

    >>> from ringbound.testing import examples
    >>> result = search_models(examples.past(), [examples.LINEAR], examples.budget(2), features=["weight"])
    >>> result.candidate.name, len(result.trials)
    ('linear', 2)
    """
    problem = rows.problem
    names = list(features if features is not None else problem.features.names)
    if not names or (unknown := sorted(set(names) - set(problem.features.names))):
        raise ModelError(f"search: expected features of {problem.features.names}; got {unknown if names else 'none'}")
    past = rows.of("train")
    vocabularies = learn_vocabularies(past.features, [n for n in problem.features.categories if n in names])
    encoder = Encoder([n for n in problem.features.numbers if n in names], vocabularies)
    judged = sorted(set(rows.of("valid").months))
    if not judged or not len(past):
        raise ModelError("search: expected rows of the splits train and valid; see the training table")
    X = encoder.matrix(rows.features)
    folds = rolling_origin(rows.months, judged)
    learnt = encoder.matrix(rows.to_learn(budget.seed)) if problem.may_lack else X
    validation = Validation(X, learnt, rows.y, encoder.sizes, problem.task, folds, budget.seed)
    study = search(
        validation.judge,
        candidates,
        folds=len(folds),
        trials=budget.trials,
        minutes=budget.minutes,
        seed=budget.seed,
        storage=study_url(budget.storage),
        key=study_key(
            problem.label,
            encoder.names,
            X,
            learnt,
            rows.y,
            judged,
            budget.seed,
            budget.trials,
            *_meaning(rows, candidates),
        ),
        workers=budget.workers,
        engine=budget.engine,
        scheduler=budget.scheduler,
    )
    candidate, arguments = best(study, candidates)
    return SearchResult(rows, encoder, validation, budget, study, candidate, arguments)


def _meaning(rows: Rows, candidates: Sequence[Candidate]) -> list[Any]:
    """Return what a study's losses depend on besides data: the task, and the code of the candidates.

    So a search that was killed goes on with its own trials alone, not with those of code that has changed since.
    """
    try:
        code = [[c.name, *(meaning_of(f) for f in (c.fit, c.space, c.follow) if f)] for c in candidates]
    except FeatureError as error:
        raise ModelError(f"search: {str(error).replace('a feature reaches', 'a candidate reaches')}") from error
    return [rows.problem.task.to_json(), code]
