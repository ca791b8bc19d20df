"""Challenger against champion: both taken from their revisions, compared on the same rows, held to the gates."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ringbound.errors import ModelError
from ringbound.features.prove import prove as prove_rows
from ringbound.features.replay import replay
from ringbound.models import gates as gate
from ringbound.models.bundle import Rung, load_rung, read_facts
from ringbound.models.comparison import Comparison, changed_slices, compare
from ringbound.models.evaluation import Evaluation, read_evaluation
from ringbound.models.gates import Gates, Reason, Verdict
from ringbound.models.latency import of_matrix, one_row_us
from ringbound.revision import Revision
from ringbound.store import Store

SAMPLE = 200
BASELINE = "prior"
"""The rung that the first model of all must beat."""


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
        return self.evaluation.about["version"]

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
    if not len(new) or before.about["features"] != after.about["features"]:
        return before
    answers = champion.full.answer({name: column[new] for name, column in after.features.items()})
    rows = pd.concat([before.rows, after.rows.iloc[new].assign(full=answers)], ignore_index=True)
    return Evaluation(rows, before.features, before.about)


def contender(revision: Revision, folder: Path) -> Contender:
    """Return the model of a revision; what is fetched for it goes below `folder`."""
    evaluation = read_evaluation(revision.fetch("data/evaluation", folder))
    bundle = revision.fetch("data/models", folder)
    facts, contents = read_facts(bundle)
    if facts["version"] != evaluation.about["version"]:
        raise ModelError(
            f"{revision.name}: expected an evaluation of model {facts['version']}; "
            f'got one of {evaluation.about["version"]}; run "dvc repro"'
        )
    full = load_rung(bundle, facts, "full")
    assert full is not None
    return Contender(revision, evaluation, full, sum(map(len, contents.values())))


@dataclass(frozen=True)
class Judged:
    """A verdict with what it is based on. `latency_us` is one row by the model alone, before and after, on this machine."""

    verdict: Verdict
    comparison: Comparison
    latency_us: tuple[float, float]


def judge(
    champion: Contender | None, challenger: Contender, gates: Gates, *, stage: str, proofs: Sequence[Reason]
) -> Judged:
    """Hold a challenger to the gates, against the champion or, without one, against its own prior.

    `proofs` are the gates on leakage and skew, which need the data and are run apart.
    """
    after = challenger.evaluation
    before = on_rows_of(champion, after) if champion else after.as_full(BASELINE)
    how: dict[str, Any] = {"draws": gates.draws, "seed": gates.seed, "least_rows": gates.least_rows}
    comparison = compare(before, after, **how)
    if unknown := sorted(set(gates.guarded) - set(after.about["slices"])):
        raise ModelError(f"params.yaml, gates.guarded: expected slices of {after.about['slices']}; got {unknown}")
    guarded = changed_slices(comparison.rows, gates.guarded, task=after.about["task"], **how)
    first = champion or challenger
    times = one_row_us(
        {
            "before": of_matrix(first.full.answer_matrix, first.sample),
            "after": of_matrix(challenger.full.answer_matrix, challenger.sample),
        },
        min(len(first.sample), len(challenger.sample)),
    )
    reasons = [
        gate.better_gate(comparison, after.about["task"]),
        gate.slices_gate(guarded, gates.guarded),
        gate.calibration_gate(comparison, gates.calibration_error),
        gate.latency_gate(times["after"] / times["before"] if champion else 1.0, gates.latency_ratio),
        _unseen([before, after]),
        _coverage(comparison, len(after.rows)),
        *proofs,
    ]
    held = [reason for reason in reasons if reason is not None]
    verdict = Verdict(gate.decide(held), stage, challenger.version, before.about["version"], held)
    return Judged(verdict, comparison, (times["before"], times["after"]))


def _unseen(evaluations: Sequence[Evaluation]) -> Reason:
    """No model was fitted on days that it is judged on; days are texts that sort by time."""
    start = min(e.about["period"][0] for e in evaluations)
    late = [e.about for e in evaluations if e.about["learnt_until"] >= start]
    if late:
        return Reason("unseen", "failed", f"model {late[0]['version']} was fitted up to {late[0]['learnt_until']}")
    return Reason("unseen", "passed", f"neither was fitted on anything from {start} on")


def _coverage(comparison: Comparison, rows: int) -> Reason:
    """The rows that both answered are most of those that the challenger did."""
    both = len(comparison.rows)
    enough = both >= rows / 2
    return Reason("coverage", "passed" if enough else "open", f"compared on {both:,} of {rows:,} rows")


def prove(gates: Gates, context: tuple[Any, Any, Any, Any]) -> list[Reason]:
    """Prove that no value was known too early and that the online path gives the same, on part of the training table.

    `context` is the features, their events, the training table and the requests behind it.
    """
    features, tables, training, requests = context
    held, leaks = prove_rows(features, tables, training, requests, rows=gates.proven_rows, seed=gates.seed)
    said = f"{held:,} values of {gates.proven_rows:,} rows"
    leakage = Reason("leakage", "failed", f"{len(leaks):,} of {said}: {leaks[0]}") if leaks else None
    start = requests["at"].max().floor("D") - (gates.replayed_days - 1) * pd.Timedelta(days=1)
    chosen = requests["at"] >= start
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/replay.db")
        done = replay(features, tables, requests[chosen], training.table[chosen], store)
    what = f"{done.values:,} values of {done.rows:,} requests from {start:%Y-%m-%d} on"
    return [
        leakage or Reason("leakage", "passed", f"{said} could all have been known"),
        Reason("skew", "failed" if done.mismatches else "passed", f"{done.mismatches:,} mismatches of {what}"),
    ]
