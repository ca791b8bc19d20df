"""The ladder: what answers where the full model cannot, each rung with less than the one above and better than the one
below, measured on months that no rung was fitted on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ringbound.display.tables import Shown
from ringbound.errors import BundleError
from ringbound.models.baseline import baseline_answers
from ringbound.models.bundle import Bundle, load_bundle, write_bundle
from ringbound.models.calibration import Calibration, CalibrationTrial, try_calibration
from ringbound.models.cascade import Cascade, choose, frontier
from ringbound.models.encoding import Encoder, learn_vocabularies
from ringbound.models.facts import Learnt
from ringbound.models.intervals import Intervals, learn_intervals, learn_threshold
from ringbound.models.prior import PriorTable, learn_prior
from ringbound.models.rung import Rung
from ringbound.models.selection import SearchResult
from ringbound.problem.task import Task, repeated
from ringbound.problem.training import Rows, TrainingTable
from ringbound.workspace.records import Record

SHARES = np.linspace(0, 1, 11).tolist()


@dataclass(frozen=True)
class RungTrial:
    """How a rung did on the judged months that come after those its calibration was learnt on.

    `answers` are for these rows, (m,), `loss` is their mean loss; `left_out` says why the rung is left out, if it is, and
    `warning` what is wrong with one that is not.
    """

    loss: float
    answers: np.ndarray
    calibration: Calibration | None = None
    left_out: str = ""
    warning: str = ""


@dataclass(frozen=True)
class FrontierTrial(Shown):
    """What a cascade would lose and cost at each share of rows that ask the full model, and the one chosen, if any."""

    points: pd.DataFrame
    cascade: Cascade | None

    @property
    def frame(self) -> pd.DataFrame:
        """The frontier."""
        return self.points

    @property
    def caption(self) -> str:
        """What was chosen."""
        if not len(self.points):
            return "the ladder has no reduced model to ask first: the full model always answers"
        return f"chosen: {self.cascade or 'always the full model'}"


@dataclass(frozen=True)
class Fitted:
    """The ladder as it will serve: fitted on all rows before the test months."""

    rows: Rows
    full: Rung
    reduced: Rung | None
    prior: PriorTable | None
    default: float | list[float]
    intervals: dict[str, Intervals]
    sets: dict[str, float]


@dataclass(frozen=True)
class LadderTrial(Shown):
    """Every rung as it did on the judged months, best first, and which of them are kept.

    `plain` are the answers of the full model, without calibration, and of the baseline for all judged rows, (n,) each.
    """

    full: SearchResult
    reduced: SearchResult
    y: np.ndarray
    rungs: dict[str, RungTrial]
    plain: dict[str, np.ndarray]

    @property
    def kept(self) -> list[str]:
        """The rungs that are kept, best first."""
        return [name for name, rung in self.rungs.items() if not rung.left_out]

    @property
    def left_out(self) -> dict[str, str]:
        """The rungs that are left out, each with the reason."""
        return {name: rung.left_out for name, rung in self.rungs.items() if rung.left_out}

    @property
    def caption(self) -> str:
        """What was measured on what."""
        task = self.full.rows.problem.task
        return f"{task.loss} on {len(self.y):,} {self.full.rows.problem.rows} that no rung was fitted on"

    @property
    def frame(self) -> pd.DataFrame:
        """Loss, calibration and fate of each rung."""
        rows = {
            name: {
                "loss": rung.loss,
                "calibration": "slope" if rung.calibration else "none",
                "kept": rung.left_out or rung.warning or "yes",
            }
            for name, rung in self.rungs.items()
        }
        return pd.DataFrame(rows).T.astype({"loss": float})

    def cascade(self, *, slack: float, cheap_cost: float) -> FrontierTrial:
        """Choose where the reduced model may answer alone: see `ringbound.models.cascade`."""
        task = self.full.rows.problem.task
        if "reduced" not in self.kept or not task.probabilities:
            return FrontierTrial(pd.DataFrame(columns=["low", "high", "share", "loss"]), None)
        cheap, full = self.rungs["reduced"].answers, self.rungs["full"].answers
        points = frontier(cheap, task.losses(self.y, cheap), task.losses(self.y, full), SHARES)
        return FrontierTrial(points, choose(points, slack=slack, cheap_cost=cheap_cost))

    def refit(self) -> Fitted:
        """Fit every kept rung again on all rows: what serves should have seen the latest months before the test."""
        rows = self.full.rows
        models = {
            name: _refitted(result, self.rungs[name].calibration)
            for name, result in (("full", self.full), ("reduced", self.reduced))
            if name in self.kept
        }
        problem = rows.problem
        prior = learn_prior(rows.features, rows.y, problem.prior, problem.task) if "prior" in self.kept else None
        default = np.asarray(problem.task.constant(rows.y), np.float64).tolist()
        return Fitted(rows, models["full"], models.get("reduced"), prior, default, self.intervals(), self.sets())

    def intervals(self) -> dict[str, Intervals]:
        """Return what is known of each kept rung's errors on rows that it was not fitted on; nothing where none are asked."""
        task = self.full.rows.problem.task
        if task.coverage is None or task.classes:
            return {}
        answers = {name: self.rungs[name].answers for name in self.kept}
        learnt = {
            name: learn_intervals(self.y, given, task.coverage, least=task.least, whole=task.whole)
            for name, given in answers.items()
        }
        return {name: one for name, one in learnt.items() if one is not None}

    def sets(self) -> dict[str, float]:
        """Return, of classes, the probability from which one is of a set, by rung; nothing where no sets are asked."""
        task = self.full.rows.problem.task
        if task.coverage is None or not task.classes:
            return {}
        answers = {name: self.rungs[name].answers for name in self.kept}
        learnt = {name: learn_threshold(self.y, given, task.coverage) for name, given in answers.items()}
        return {name: one for name, one in learnt.items() if one is not None}


def _refitted(result: SearchResult, calibration: Calibration | None) -> Rung:
    rows, features = result.rows, result.rows.features
    vocabularies = learn_vocabularies(features, list(result.encoder.vocabularies))
    encoder = Encoder(result.encoder.numbers, vocabularies)
    model = result.candidate.fit(
        encoder.matrix(rows.to_learn(result.validation.seed)),
        rows.y,
        sizes=encoder.sizes,
        task=rows.problem.task,
        seed=result.validation.seed,
        **result.arguments,
    )
    return Rung(encoder, model, calibration)


def try_ladder(full: SearchResult, reduced: SearchResult) -> LadderTrial:
    """Measure every rung on the judged months and leave out those that do not beat the one below them.

    Models and priors are fitted on what is past at each cut-off. Calibrations are learnt on the judged months before
    the one they are judged on, so the first of these months counts for none where there are several.

    >>> from ringbound.testing import examples
    >>> ladder = try_ladder(examples.search(), examples.reduced_search())
    >>> ladder.kept, list(ladder.left_out)
    (['full', 'reduced', 'default'], ['prior'])
    """
    validation, problem = full.validation, full.rows.problem
    y = validation.y[validation.judged]
    ends = np.cumsum([len(fold.later) for fold in validation.folds])
    folds = np.split(np.arange(len(y)), ends[:-1])
    later = np.concatenate(folds[1:]) if len(folds) > 1 else folds[0]
    task = problem.task
    means = [repeated(task.constant(validation.y[fold.past]), len(fold.later)) for fold in validation.folds]
    answers = {"prior": _prior_out_of_fold(full), "default": np.concatenate(means)}
    rungs = {}
    plain = {"full": full.out_of_fold()}
    for name, out_of_fold in (("full", plain["full"]), ("reduced", reduced.out_of_fold())):
        trial = _calibrated(out_of_fold, y, folds, later, problem.task)
        loss = float(problem.task.losses(y[later], trial.answers).mean())
        rungs[name] = RungTrial(loss, trial.answers, trial.calibration)
    for name, answer in answers.items():
        rungs[name] = RungTrial(float(problem.task.losses(y[later], answer[later]).mean()), answer[later])
    kept = ordered(rungs)
    lower = answers["default" if kept["prior"].left_out else "prior"]
    judged = {name: column[validation.judged] for name, column in full.rows.features.items()}
    plain["baseline"] = baseline_answers(problem, judged, lower)
    return LadderTrial(full, reduced, y[later], kept, plain)


def ordered(rungs: Mapping[str, RungTrial]) -> dict[str, RungTrial]:
    """Mark the rungs that do not beat the next kept one below them as left out; rungs come best first.

    The full model stays, as what is served; where it does not beat the next one, that is its `warning`.
    """
    names = list(rungs)
    kept = {names[-1]: rungs[names[-1]]}
    below = names[-1]
    for name in reversed(names[:-1]):
        rung = rungs[name]
        beaten = f"does not beat {below} ({rung.loss:.4f} to {rungs[below].loss:.4f})"
        if rung.loss < rungs[below].loss:
            kept[name], below = rung, name
        elif name == names[0]:
            kept[name] = replace(rung, warning=beaten)
        else:
            kept[name] = replace(rung, left_out=beaten)
    return {name: kept[name] for name in names}


def _calibrated(
    p: np.ndarray, y: np.ndarray, folds: list[np.ndarray], later: np.ndarray, task: Task
) -> CalibrationTrial:
    if task.probabilities:
        return try_calibration(p, y, folds)
    return CalibrationTrial({}, None, p[later])


def _prior_out_of_fold(result: SearchResult) -> np.ndarray:
    rows, validation = result.rows, result.validation
    take = lambda places: {name: rows.features[name][places] for name in rows.problem.prior}  # noqa: E731
    tables = [
        learn_prior(take(f.past), validation.y[f.past], rows.problem.prior, rows.problem.task) for f in validation.folds
    ]
    parts = [table.predict(take(f.later)) for table, f in zip(tables, validation.folds, strict=True)]
    return np.concatenate(parts)


def write_model(
    folder: Path,
    fitted: Fitted,
    trial: LadderTrial,
    training: TrainingTable,
    cascade: Cascade | None,
    *,
    profile: Record | None = None,
    entry: str = "",
) -> Bundle:
    """Write the fitted ladder as a bundle, and return it loaded back; it answers as what was fitted, to the bit.

    `profile` is what live data are to be held against.

    >>> from ringbound.testing import examples
    >>> from ringbound.testing.parcels import ENTRY
    >>> ladder = examples.ladder()
    >>> from ringbound import learn_profile
    >>> rest = {"profile": learn_profile(ladder), "entry": ENTRY}
    >>> bundle = write_model(examples.folder() / "again", ladder.refit(), ladder, examples.training(), None, **rest)
    >>> bundle.version == examples.bundle().version
    True
    """
    rows, search = fitted.rows, trial.full
    first, last = rows.period
    learnt = Learnt(
        rows=len(rows),
        first=first,
        last=last,
        data=training.sha256,
        candidate=search.candidate.name,
        arguments=search.arguments,
        seed=search.validation.seed,
    )
    write_bundle(
        folder,
        problem=rows.problem,
        full=fitted.full,
        reduced=fitted.reduced,
        prior=fitted.prior,
        default=fitted.default,
        cascade=cascade,
        left_out=trial.left_out,
        warning=trial.rungs["full"].warning,
        references=training.references,
        learnt=learnt,
        entry=entry,
        intervals=fitted.intervals,
        sets=fitted.sets,
        profile=profile,
    )
    bundle = load_bundle(folder)
    some = rows.where(np.arange(max(0, len(rows) - 5000), len(rows))).features
    rungs = {"full": fitted.full.answer}
    rungs |= {"reduced": fitted.reduced.answer} if fitted.reduced else {}
    rungs |= {"prior": fitted.prior.predict} if fitted.prior else {}
    for name, answer in rungs.items():
        if not np.array_equal(bundle.rungs[name](some), answer(some)):
            raise BundleError(f"bundle: {name} answers otherwise than what was fitted; report this with the notebook")
    return bundle
