"""A history lived through once more under each of several policies: `simulate`."""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

import ringbound
from ringbound import workspace
from ringbound.compute.workers import open_workers
from ringbound.errors import ModelError, RecordError
from ringbound.features.definition import AT
from ringbound.features.frames import instants
from ringbound.features.offline import EventTables
from ringbound.models.candidates import Candidate
from ringbound.models.facts import Learnt
from ringbound.monitoring.faults import Fault, with_fault
from ringbound.problem.training import Rows, TrainingTable
from ringbound.proofs.history import History
from ringbound.proofs.replay import replay
from ringbound.simulation.oracle import run_oracle
from ringbound.simulation.policy import ORACLE, WATCHED, Policy
from ringbound.simulation.record import PolicyRun, name_of
from ringbound.simulation.result import Simulated
from ringbound.simulation.run import Rules, cuts_of, run_policy
from ringbound.simulation.world import World
from ringbound.store import Store
from ringbound.workspace import layout


def simulate(
    training: TrainingTable,
    known: pd.Series,
    candidates: Sequence[Candidate],
    learnt: Learnt,
    *,
    policies: Sequence[Policy],
    rules: Rules,
    start: str,
    end: str,
    step: int = 7,
    every: int = 1,
    workers: int = 1,
    oracle: bool = True,
    clean: Path | None = None,
    fault: Fault | None = None,
    lies: Fault | None = None,
    since: str = "",
    draws: int = 500,
    entry: str = "",
    folder: Path | None = None,
) -> Simulated:
    """Return what each policy would have cost from the day `start` to before `end`, and what the best possible would have.

    Days go by in order: what is asked is answered by what serves then; outcomes become known when they did (`known`, by the
    rows' ids); monitors read a real store; each `step` days the policy looks, learns with the champion's arguments
    (`learnt`), and holds what it has learnt to the gates and to its answers beside the champion's. With one in `every` rows.

    From `since` on, `fault` changes what happens, `lies` what is told of it: what is learnt from and judged by, not what it
    costs. Without the `oracle`, fewer models are fitted. With `clean`, the folder of events, the last day is asked again row
    by row through the store and the online features, and must get the same values. `folder` keeps what was fitted and what
    policies came to, so that a run that was killed goes on; by default in the workspace's `data/ops`.

    >>> from ringbound import AlarmBudget, Prices, Rules, policies_of
    >>> from ringbound.release.gates import Gates
    >>> from ringbound.testing import examples
    >>> from ringbound.testing.parcels import ENTRY
    >>> gates = Gates(2.0, 100, 1, 50, 1, 30, 0.05, 0.5)
    >>> rules = Rules(Prices(retraining=1.0), gates, 14, AlarmBudget())
    >>> some = policies_of([{"name": "never", "when": "never"}, {"name": "weekly", "when": "schedule", "every": 7}])
    >>> none = pd.Series([], dtype="datetime64[us, UTC]")
    >>> learnt = Learnt(0, "", "", "", "linear", {"strength": 0.1}, 1)
    >>> found = simulate(
    ...     examples.training(), none, [examples.LINEAR], learnt, policies=some, rules=rules, start="2020-03-16",
    ...     end="2020-03-30", draws=50, entry=ENTRY, folder=examples.folder() / "simulation",
    ... )
    >>> sorted(found.frame.index)
    ['never', 'oracle', 'weekly']
    """
    rows, times = in_order(training, known, every)
    if fault is not None:
        if clean is None:
            raise ModelError("simulation: expected the folder of events, clean=…, to put a fault into")
        rows, times = _with(rows, times, fault, clean, since)
    told = rows.y
    if lies is not None:
        if lies.outcomes is None:
            raise ModelError(f"simulation: expected lies to change outcomes; {lies.name} does not")
        told = _with(rows, times, lies, Path(), since)[0].y
    if rows.problem.task.classes:
        raise ModelError(
            "simulation: expected a task whose answer is one number; a year of several classes is not lived yet"
        )
    days = [_number(_day(day)) for day in (start, end)]
    if not days[0] < days[1] or step < 1:
        raise ModelError(
            f"simulation: expected a day before {end} to begin with, and steps of days; got {start}, {step}"
        )
    first, last = _number(rows.table[AT.name].min()), _number(rows.table[AT.name].max())
    if first + 2 * step >= days[0]:
        raise ModelError(f"simulation: expected a history of some weeks before {start} to learn from; begin later")
    if last < days[1] - 1:
        raise ModelError(f"simulation: expected to end by {name_of(last + 1)}, with what is known; got {end}")
    base = folder or workspace.root() / layout.SIMULATION
    entry = entry or workspace.problem_entry()
    key = _key(rows, told, times, candidates, learnt, entry, days, step)
    world = World(rows, told, times, candidates, learnt, entry, base / key, days[0], days[1], step)
    checked = _checked(world, clean) if clean is not None and fault is None else ""
    prices = rules.prices  # each row stands for `every`
    prices = replace(prices, mistake=prices.mistake * every, rows=prices.rows * every, outcome=prices.outcome * every)
    rules = replace(rules, prices=prices)
    models = {(cut, one.window) for one in policies for cut in cuts_of(world, one, rules)}
    models |= {(cut, 0) for cut in world.looks}
    if oracle:
        _fit(world, sorted({*models, *((cut, 0) for cut in world.cuts)}), workers)
    longest_first = sorted(policies, key=lambda one: one.when not in WATCHED)
    runs = {one.policy: one for one in _live(world, longest_first, rules, workers)}
    found = [runs[one.name] for one in policies]
    if oracle:
        found.append(run_oracle(world, rules.prices, models, ORACLE))
    return Simulated(found, rules.prices, max(1, rows.problem.stretch), draws, learnt.seed, checked)


def _with(rows: Rows, known: np.ndarray, fault: Fault, clean: Path, since: str) -> tuple[Rows, np.ndarray]:
    """Return rows with a fault; `ModelError` for one that is none of a history: with other rows, or another model."""
    changed, times = with_fault(rows, known, fault, clean, _day(since))
    same = len(changed) == len(rows) and np.array_equal(changed.ids, rows.ids)
    if not same or fault.version or (np.diff(instants(changed.table[AT.name])) < 0).any():
        raise ModelError(f"simulation: expected {fault.name} to leave rows and models as they are, and their order")
    return changed, times


def _key(
    rows: Rows,
    told: np.ndarray,
    known: np.ndarray,
    candidates: Sequence[Candidate],
    learnt: Learnt,
    entry: str,
    *more: Any,
) -> str:
    """Return a digest of all that results depend on: data, declaration, candidates with what they reach, and all code."""
    problem = rows.problem
    declared = [
        problem.task.to_json(),
        problem.features.hash,
        list(problem.guarded),
        problem.stretch,
        problem.mature,
    ]
    code = [_code(Path(ringbound.__file__).parent), *(_code(file.parent) for file in _files_of(candidates, entry))]
    references = {name: one.to_json() for name, one in rows.references.items()}
    versions = [distribution(name).version for name in ("numpy", "scikit-learn", "treelite", "pandas")]
    return joblib.hash(
        [rows.table, rows.requests, told, known, asdict(learnt), entry, declared, references, code, versions, more]
    )


def _files_of(candidates: Sequence[Candidate], entry: str) -> list[Path]:
    """Return the modules that declare the problem and its candidates."""
    modules = {entry.partition(":")[0], *(one.fit.__module__ for one in candidates)}
    files = {getattr(sys.modules.get(name) or import_module(name), "__file__", None) for name in modules}
    return sorted(Path(file) for file in files if file)


def in_order(training: TrainingTable, known: pd.Series, every: int) -> tuple[Rows, np.ndarray]:
    """Return the rows in the order of their times, one in `every`, and when their outcomes were known."""
    order = np.argsort(instants(training.table[AT.name]), kind="stable")[::every]
    table, requests = (frame.iloc[order].reset_index(drop=True) for frame in (training.table, training.requests))
    rows = Rows(training.problem, table, requests, training.references)
    if known.index.has_duplicates:
        raise ModelError("simulation: expected one time of knowing for each id; keep the first")
    when = pd.to_datetime(known.reindex(rows.ids), utc=True).reset_index(drop=True)
    late = instants(table[AT.name]) + rows.problem.mature_us
    return rows, np.where(when.notna(), instants(when.fillna(pd.Timestamp(0, tz="UTC"))), late)


def _fit(world: World, models: list[tuple[int, int]], workers: int) -> None:
    if workers == 1:
        for cut, window in models:
            world.prepare(cut, window)
        return
    with open_workers(world.prepare, workers=workers) as submit:
        for future in [submit(cut, window) for cut, window in reversed(models)]:  # the longest first
            future.result()


def _live(world: World, policies: Sequence[Policy], rules: Rules, workers: int) -> list[PolicyRun]:
    def live(policy: Policy) -> PolicyRun:
        file = world.folder / f"run-{_digest(policy, rules)}.json"
        try:
            return PolicyRun.read(file)
        except RecordError:
            run = run_policy(world, policy, rules)
        beside = file.with_suffix(f".{os.getpid()}")
        run.write(beside)
        beside.rename(file)
        return run

    if workers == 1:
        return [live(policy) for policy in policies]
    with open_workers(live, workers=workers) as submit:
        return [future.result() for future in [submit(policy) for policy in policies]]


def _digest(policy: Policy, rules: Rules) -> str:
    return hashlib.sha256(json.dumps([asdict(policy), asdict(rules)], sort_keys=True).encode()).hexdigest()[:16]


def _code(home: Path) -> str:
    """Return a digest of the code below a folder: what other code has fitted or lived through is no result of this one."""
    found = hashlib.sha256()
    for file in sorted(home.rglob("*.py")):
        found.update(file.relative_to(home).as_posix().encode() + file.read_bytes())
    return found.hexdigest()


def _checked(world: World, clean: Path) -> str:
    """Ask the last day's rows one by one through the store and the online features; `ModelError` where a bit differs."""
    rows = world.rows
    last = world.between(int(world.days.max()), int(world.days.max()) + 1)
    chosen = np.arange(last.start, last.stop)
    tables = EventTables(clean, rows.problem.features.sources)
    frame, requests = rows.table.iloc[chosen], rows.requests.iloc[chosen]
    with tempfile.TemporaryDirectory() as folder:
        done = replay(
            History(rows.problem.features, tables, frame, requests, rows.references), Store(f"sqlite:///{folder}/s.db")
        )
    if done.mismatches:
        raise ModelError(f"simulation: expected online values as in the table; {done.mismatches} differ: {done.first}")
    return f"{done.values:,} values of the last day asked again one by one, all the same"


def _day(text: str) -> pd.Timestamp:
    try:
        return pd.Timestamp(pd.Timestamp(text).date(), tz="UTC")
    except ValueError as error:
        raise ModelError(f"simulation: expected a day like 2013-04-01; got {text!r}") from error


def _number(time: pd.Timestamp) -> int:
    """Return the day of a time, counted from 1970."""
    return (time - pd.Timestamp(0, tz="UTC")).days
