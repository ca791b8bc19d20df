"""Search with Optuna that gives the same study for a seed, however many workers evaluate it and wherever it was killed.

Trials are asked for and told in order. Trial i is asked for when exactly the trials up to i - AHEAD have been told, and
by a sampler of its own, seeded by its number: so it is a function of the seed and of those trials alone, while up to
AHEAD trials are under way at any time. A resumed search asks again in the same way and takes the losses it has kept.

A trial that falls behind the median of its kind is given up. Kinds have bars of their own: where one of them is far
behind, the median of all would let every trial of the other pass.
"""

import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import optuna
import pandas as pd
from optuna.trial import TrialState
from tqdm import tqdm

from ringbound import workspace
from ringbound.compute.workers import open_workers
from ringbound.errors import ModelError
from ringbound.models.candidates import Candidate
from ringbound.models.validation import Judged
from ringbound.workspace import layout

AHEAD = 4
"""Trials under way before the first of them is told. Part of the result: another number is another study."""
STARTUP = 8
"""Trials at random before a sampler learns from them."""
LEAST = 3
"""Trials of a kind that must have ended before one of it is given up."""

Evaluate = Callable[[Candidate, dict[str, Any], Sequence[float]], Judged]
"""`evaluate(candidate, arguments, bars)` returns the mean loss up to each fold, in order, and stops early, with fewer of
them, after the fold k whose mean is above `bars[k]`; with them come arguments of `fit` that it has found itself."""


def suggest(trial: optuna.trial.BaseTrial, candidates: Sequence[Candidate]) -> tuple[Candidate, dict[str, Any]]:
    """Let the trial choose a candidate, then its arguments."""
    name = trial.suggest_categorical("candidate", [c.name for c in candidates])
    chosen = next(c for c in candidates if c.name == name)
    return chosen, chosen.space(trial)


def best(study: optuna.Study, candidates: Sequence[Candidate]) -> tuple[Candidate, dict[str, Any]]:
    """Return the candidate and the arguments of the best trial."""
    done = study.get_trials(states=(TrialState.COMPLETE,))
    if not done:
        names = [candidate.name for candidate in candidates]
        raise ModelError(f"search: expected a complete trial of {names}; got none; ask for more trials")
    least = min(done, key=_loss)
    candidate, arguments = suggest(optuna.trial.FixedTrial(least.params), candidates)
    return candidate, arguments | least.user_attrs


def search(
    evaluate: Evaluate,
    candidates: Sequence[Candidate],
    *,
    folds: int,
    trials: int,
    seed: int,
    storage: str,
    key: str,
    workers: int = 1,
    engine: str = "local",
    scheduler: str = "",
    minutes: float = float("inf"),
) -> optuna.Study:
    """Minimise the mean loss over all folds in `trials` trials, or as many as begin within `minutes`.

    The study is kept at the URL `storage` (SQLite or PostgreSQL) under the name `key`, each trial as soon as those before
    it are there; called again with the same key after a kill, the search goes on from them. A study that is complete is
    made anew. Where `minutes` cut it short, it is the beginning of the study that more time would give.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    stored = optuna.create_study(storage=storage, study_name=key, load_if_exists=True)
    known = stored.get_trials(deepcopy=False)
    if len(known) >= trials:
        stored, known = _anew(storage, key), []
    study = optuna.create_study()
    running: deque[tuple[optuna.Trial, Future[Judged]]] = deque()
    unkept: deque[tuple[optuna.Trial, Future[Judged]]] = deque()
    end = time.monotonic() + 60 * minutes
    with (
        open_workers(evaluate, workers=workers, engine=engine, scheduler=scheduler) as submit,
        tqdm(total=trials, desc="search", unit="trial") as bar,
    ):
        for number in range(trials):
            if len(running) == AHEAD:
                _tell(study, *running.popleft(), folds, bar)
            study.sampler = _sampler(seed, number)
            trial = study.ask()
            candidate, arguments = suggest(trial, candidates)
            if number < len(known) and known[number].params == trial.params:
                future: Future[Judged] = Future()
                kept = known[number]
                future.set_result(Judged(list(kept.intermediate_values.values()), kept.user_attrs))
            elif number < len(known):  # of another search, or torn
                stored, known = _keep_only(storage, key, known[:number]), []
            if number >= len(known):
                if time.monotonic() > end:
                    study.tell(trial, state=TrialState.FAIL)
                    break
                future = submit(candidate, arguments, _bars(study, candidate, folds))
                unkept.append((trial, future))
            running.append((trial, future))
            while unkept and unkept[0][1].done():
                stored.add_trial(_frozen(*unkept.popleft(), folds))
        while running:
            _tell(study, *running.popleft(), folds, bar)
            while unkept and unkept[0][1].done():
                stored.add_trial(_frozen(*unkept.popleft(), folds))
    return study


def _tell(study: optuna.Study, trial: optuna.Trial, future: "Future[Judged]", folds: int, bar: tqdm) -> None:
    judged = future.result()
    means = judged.means
    for fold, mean in enumerate(means):
        trial.report(mean, fold)
    for name, value in judged.found.items():
        trial.set_user_attr(name, value)
    state = _state(means, folds)
    study.tell(trial, means[-1] if state is TrialState.COMPLETE else None, state=state)
    bar.update()
    if complete := study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        bar.set_postfix(best=f"{min(map(_loss, complete)):.4f}")


def _loss(trial: optuna.trial.FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value


def _frozen(trial: optuna.Trial, future: "Future[Judged]", folds: int) -> optuna.trial.FrozenTrial:
    """Return the trial as it is kept, before it is told."""
    judged = future.result()
    means = judged.means
    state = _state(means, folds)
    return optuna.trial.create_trial(
        state=state,
        value=means[-1] if state is TrialState.COMPLETE else None,
        params=trial.params,
        distributions=trial.distributions,
        intermediate_values=dict(enumerate(means)),
        user_attrs=judged.found,
    )


def _state(means: list[float], folds: int) -> TrialState:
    """Return how a trial ended: failed where a loss is no number, given up where folds are left."""
    if not np.isfinite(means).all():
        return TrialState.FAIL
    return TrialState.COMPLETE if len(means) == folds else TrialState.PRUNED


def _bars(study: optuna.Study, candidate: Candidate, folds: int) -> list[float]:
    """Return, for each fold, the median mean loss up to it of the trials of a kind that have ended.

    The median rule of Golovin et al., KDD 2017 (Vizier), section 3.2; the last fold has no bar: nothing is left to save.
    """
    all_ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    ended = [trial for trial in all_ended if trial.params["candidate"] == candidate.name]
    if len(ended) < LEAST:
        return [float("inf")] * folds
    means = [[t.intermediate_values[k] for t in ended if k in t.intermediate_values] for k in range(folds - 1)]
    return [float(np.median(fold)) for fold in means] + [float("inf")]


def _sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    state = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():  # `group` is marked experimental; the locked version is the one tested
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=state, n_startup_trials=STARTUP, multivariate=True, group=True)


def _anew(storage: str, key: str) -> optuna.Study:
    optuna.delete_study(study_name=key, storage=storage)
    return optuna.create_study(storage=storage, study_name=key)


def _keep_only(storage: str, key: str, trials: list[optuna.trial.FrozenTrial]) -> optuna.Study:
    study = _anew(storage, key)
    study.add_trials(trials)
    return study


def study_url(given: str) -> str:
    """Return where studies are kept: the URL `given`, that of the variable `$NAME`, or SQLite in the workspace."""
    url = os.path.expandvars(given) or f"sqlite:///{workspace.root() / layout.STUDIES}"
    if url.startswith("$"):
        raise ModelError(f"storage: expected the variable {url[1:]} to be set to a database's URL; it is not")
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return url


def study_key(*parts: Any) -> str:
    """Return the name of a study: a digest of everything its result depends on, arrays by their content."""
    return joblib.hash(parts)


def trials_table(study: optuna.Study) -> pd.DataFrame:
    """Return one row a trial: number, state, loss, every argument, and the mean loss up to each fold."""
    rows = [
        {"trial": t.number, "state": t.state.name.lower(), "loss": t.value}
        | t.params
        | t.user_attrs
        | {f"fold_{k}": mean for k, mean in t.intermediate_values.items()}
        for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    ]
    return pd.DataFrame(rows).set_index("trial")
