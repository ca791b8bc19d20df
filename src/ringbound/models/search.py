"""Search with Optuna that gives the same study for a seed, however many workers evaluate it and wherever it was killed.

Trials are asked for in batches of a fixed size, evaluated in parallel and told in the order asked. Each batch has a
sampler of its own, seeded by the batch's number, so the study is a function of the trials before: a resumed search goes
on exactly as an undisturbed one would have.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import optuna
import pandas as pd
from tqdm import tqdm

from ringbound.models.candidates import Candidate

BATCH = 4
"""Trials asked for together. Part of the result: another size is another study."""


def suggest(trial: optuna.trial.BaseTrial, candidates: list[Candidate]) -> tuple[Candidate, dict[str, Any]]:
    """Let the trial choose a candidate, then its arguments."""
    name = trial.suggest_categorical("candidate", [c.name for c in candidates])
    chosen = next(c for c in candidates if c.name == name)
    return chosen, chosen.space(trial)


def best(study: optuna.Study, candidates: list[Candidate]) -> tuple[Candidate, dict[str, Any]]:
    """Return the candidate and the arguments of the best trial."""
    return suggest(optuna.trial.FixedTrial(study.best_params), candidates)


def search(
    evaluate: Callable[[Candidate, dict[str, Any]], float],
    candidates: list[Candidate],
    *,
    trials: int,
    workers: int,
    seed: int,
    journal: Path,
    key: str,
) -> optuna.Study:
    """Minimise `evaluate(candidate, arguments)` over `trials` trials with `workers` processes.

    The study is kept in the SQLite file `journal` as whole batches end, under the name `key`; called again with the same
    key after a kill, the search goes on from there. A study that is complete is made anew.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal.parent.mkdir(parents=True, exist_ok=True)
    storage = f"sqlite:///{journal}"
    study = optuna.create_study()
    kept, done = _open_journal(storage, key, trials)
    study.add_trials(done)
    with (
        tqdm(total=trials, initial=len(done), desc="search", unit="trial") as bar,
        joblib.Parallel(n_jobs=workers) as pool,
    ):
        while len(study.trials) < trials:
            first = len(study.trials)
            study.sampler = _sampler(seed, first)
            batch = [study.ask() for _ in range(min(BATCH, trials - first))]
            choices = [suggest(trial, candidates) for trial in batch]
            losses = pool(joblib.delayed(evaluate)(candidate, arguments) for candidate, arguments in choices)
            for trial, loss in zip(batch, losses, strict=True):
                study.tell(trial, loss)
            kept.add_trials(study.trials[first:])
            bar.update(len(batch))
            bar.set_postfix(best=f"{study.best_value:.4f}")
    return study


def _sampler(seed: int, first: int) -> optuna.samplers.BaseSampler:
    state = int(np.random.SeedSequence([seed, first]).generate_state(1)[0])
    with warnings.catch_warnings():  # `group` is marked experimental; the locked version is the one tested
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=state, n_startup_trials=2 * BATCH, multivariate=True, group=True)


def _open_journal(storage: str, key: str, trials: int) -> tuple[optuna.Study, list[optuna.trial.FrozenTrial]]:
    """Return the kept study, and its trials up to the last whole batch; a complete or torn one is begun again."""
    kept = optuna.create_study(storage=storage, study_name=key, load_if_exists=True)
    done = kept.get_trials(deepcopy=False)
    whole = done[: len(done) // BATCH * BATCH]
    if len(done) >= trials:
        whole = []
    if len(whole) != len(done):
        optuna.delete_study(study_name=key, storage=storage)
        kept = optuna.create_study(storage=storage, study_name=key)
        kept.add_trials(whole)
    return kept, whole


def study_key(*parts: Any) -> str:
    """Return the name of a study: a digest of everything its result depends on, arrays by their content."""
    return joblib.hash(parts)


def trials_table(study: optuna.Study) -> pd.DataFrame:
    """Return one row a trial: number, candidate, loss and every argument."""
    rows = [{"trial": t.number, "loss": t.value, **t.params} for t in study.trials]
    return pd.DataFrame(rows).set_index("trial")
