"""Challenger against champion: both taken from their revisions, compared on the same rows, held to the gates."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ringbound import workspace
from ringbound.errors import ModelError
from ringbound.evaluation.answers import Evaluation, read_evaluation
from ringbound.evaluation.by_slice import too_few
from ringbound.evaluation.comparison import Comparison, changed_slices, compare
from ringbound.evaluation.latency import of_matrix, one_row_us
from ringbound.evaluation.uncertainty import Estimate, bootstrap
from ringbound.features.definition import AT
from ringbound.models.bundle import load_rung
from ringbound.models.facts import read_facts
from ringbound.models.rung import Rung
from ringbound.problem.packed import as_column, from_column
from ringbound.problem.task import Task
from ringbound.proofs.history import History
from ringbound.proofs.leakage import prove as prove_rows
from ringbound.proofs.replay import replay
from ringbound.release import gates as gate
from ringbound.release.gates import GateResult, Gates, Verdict
from ringbound.release.looks import Look, note_look
from ringbound.store import Store
from ringbound.workspace import layout
from ringbound.workspace.revision import Revision

SAMPLE = 200


@dataclass(frozen=True)
class Contender:
    """A model as a revision has it: what it answered, the full model itself, and its size on disk in bytes."""

    revision: Revision
    evaluation: Evaluation
    full: Rung
    size: int

    @property
    def version(self) -> str:
        """The version of its bundle."""
        return self.evaluation.facts.version

    @cached_property
    def sample(self) -> np.ndarray:
        """Some of its rows as the full model takes them, (m, columns)."""
        return self.full.encoder.matrix({name: column[:SAMPLE] for name, column in self.evaluation.features.items()})


def on_rows_of(champion: Contender, after: Evaluation) -> Evaluation:
    """Return the champion's evaluation with answers to the rows that only a challenger was asked about, later months say.

    That takes features of one definition; with others it is left as it is, and only common rows can be compared.
    """
    before = champion.evaluation
    new = np.flatnonzero(~after.rows["id"].isin(before.rows["id"]))
    if not len(new) or before.facts.features != after.facts.features:
        return before
    answers = champion.full.answer({name: column[new] for name, column in after.features.items()})
    rows = pd.concat([before.rows, after.rows.iloc[new].assign(full=as_column(answers))], ignore_index=True)
    return Evaluation(rows, before.features, before.facts)


def contender(revision: Revision, folder: Path) -> Contender:
    """Return the model of a revision; what is fetched for it goes below `folder`."""
    evaluation = read_evaluation(revision.fetch(layout.EVALUATION, folder))
    bundle = revision.fetch(layout.MODELS, folder)
    facts = read_facts(bundle)
    if facts.model.version != evaluation.facts.version:
        raise ModelError(
            f"{revision.name}: expected an evaluation of model {facts.model.version}; "
            f'got one of {evaluation.facts.version}; run "dvc repro"'
        )
    full = load_rung(bundle, facts, "full")
    assert full is not None
    size = sum((bundle / name).stat().st_size for name in facts.files)
    return Contender(revision, evaluation, full, size)


@dataclass(frozen=True)
class Judgement:
    """A verdict with what it is based on. `latency_us` is one row by the model alone, before and after, on this machine."""

    verdict: Verdict
    comparison: Comparison
    latency_us: tuple[float, float]


def judge(
    champion: Contender | None,
    challenger: Contender,
    gates: Gates,
    *,
    environment: str,
    proofs: Sequence[GateResult],
    look: int = 1,
) -> Judgement:
    """Hold a challenger to the gates, against the champion or, without one, against its own baseline.

    `look` says the how many-th this is at these months: see `ringbound.release.looks`.
    `proofs` are the gates on leakage and skew, which need the data and are run apart.
    """
    after = challenger.evaluation
    before = on_rows_of(champion, after) if champion else after.of_baseline()
    options: dict[str, Any] = {"draws": gates.draws, "seed": gates.seed, "least_rows": gates.least_rows}
    comparison = compare(before, after, **options)
    names = list(dict.fromkeys([*after.facts.guarded, *before.facts.guarded]))  # what was guarded stays so
    lost = [name for name in names if name not in comparison.rows]
    names = [name for name in names if name not in lost]
    guarded = changed_slices(comparison.rows, names, task=after.task, **options)
    first = champion or challenger
    times = one_row_us(
        {
            "before": of_matrix(first.full.answer_matrix, first.sample),
            "after": of_matrix(challenger.full.answer_matrix, challenger.sample),
        },
        min(len(first.sample), len(challenger.sample)),
    )
    drawn = {"draws": gates.draws, "seed": gates.seed}
    error = calibration_of(comparison.rows, after.task, after.facts.stretch, **drawn)
    few = [
        *too_few(comparison.rows, names, gates.least_rows),
        *(f"{name}, which has no slices any more" for name in lost),
    ]
    results = [
        gate.better_gate(comparison.rows, after.task, look=look, alpha=gates.alpha, **drawn),
        gate.slices_gate(guarded, names, gates.slice_margin, few),
        gate.calibration_gate(after.task, error, gates),
        gate.latency_gate(times["after"] / times["before"] if champion else None, gates.latency_ratio),
        _unseen(comparison, [before, after]),
        _coverage(comparison, before, after),
        *proofs,
    ]
    verdict = Verdict(gate.decide(results), environment, challenger.version, before.facts.version, results)
    return Judgement(verdict, comparison, (times["before"], times["after"]))


def calibration_of(rows: pd.DataFrame, task: Task, stretch: int, *, draws: int, seed: int) -> Estimate:
    """Return how far the answers `after` on compared rows are from what they state, by the task's metric."""
    name, _ = task.stated
    metrics = {name: task.metrics[name]}
    y, p, blocks = from_column(rows["truth"]), from_column(rows["after"]), rows["block"].to_numpy()
    return bootstrap(y, p, blocks, metrics, draws=draws, seed=seed, stretch=stretch)[name]


def _unseen(comparison: Comparison, evaluations: Sequence[Evaluation]) -> GateResult:
    """No model was fitted on months that it is judged on; rows are split by month, and months are texts that sort by time."""
    start = str(comparison.rows["period"].min())
    late = [e.facts for e in evaluations if e.facts.learnt_until >= start]
    if late:
        return GateResult("unseen", "failed", f"model {late[0].version} was fitted up to {late[0].learnt_until}")
    return GateResult("unseen", "passed", f"neither was fitted on anything from {start} on")


MOST_UNANSWERED = 0.01


def _coverage(comparison: Comparison, before: Evaluation, after: Evaluation) -> GateResult:
    """The rows that both answered are most of those that either did in the challenger's months, and it left out none."""
    asked = before.rows[before.rows["period"].isin(after.rows["period"].unique())]
    unanswered = int((~asked["id"].isin(after.rows["id"])).sum())
    both, every = len(comparison.rows), len(after.rows) + unanswered
    enough = both >= every / 2 and unanswered <= MOST_UNANSWERED * len(asked)
    says = f"compared on {both:,} of {every:,} rows"
    says += f"; {unanswered:,} that the champion answered have no answer of the challenger's" if unanswered else ""
    return GateResult("coverage", "passed" if enough else "open", says)


def prove(gates: Gates, history: History) -> list[GateResult]:
    """Prove that no value was known too early and that the online path gives the same, on part of the training table."""
    proof = prove_rows(history, rows=gates.proven_rows, seed=gates.seed)
    what = f"{proof.values:,} values of {proof.values // len(history.features.names):,} rows"
    at = history.requests[AT.name]
    start = at.nlargest(gates.replayed_rows).min()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/replay.db")
        done = replay(history.where((at >= start).to_numpy()), store)
    replayed = f"{done.values:,} values of {done.rows:,} requests, the last there are, from {start:%Y-%m-%d %H:%M} on"
    return [
        GateResult("leakage", "failed", f"{len(proof.leaks):,} of {what}: {proof.leaks[0]}")
        if proof.leaks
        else GateResult("leakage", "passed", f"{what} keep to the declared times of being known"),
        GateResult("skew", "failed" if done.mismatches else "passed", f"{done.mismatches:,} mismatches of {replayed}"),
    ]


def look_at(champion: Contender | None, challenger: Contender, gates: Gates) -> Look:
    """Return the look that judging a challenger by some gates is: at all the months that it has answered."""
    after = challenger.evaluation
    before = champion.version if champion else after.of_baseline().facts.version
    return Look(challenger.version, before, *after.facts.period, gates.digest)


def judge_workspace(root: Path, champion: str | None, history: History, *, environment: str) -> Judgement:
    """Judge the workspace's model against the one of the commit `champion`, or against its own baseline.

    The look is noted in the ledger before anything is said.
    """
    gates = Gates.from_section(workspace.load_yaml(root / "params.yaml").get("gates"))
    with tempfile.TemporaryDirectory() as folder:
        held = contender(Revision(root, champion), Path(folder)) if champion else None
        challenger = contender(Revision(root), Path(folder))
        proofs = prove(gates, history)
        look = note_look(root / layout.LOOKS, look_at(held, challenger, gates))
        return judge(held, challenger, gates, environment=environment, proofs=proofs, look=look)
