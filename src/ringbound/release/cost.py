"""What a model costs: to be made, stage by stage and trial by trial, and to answer; measured, and in money.

What is measured differs from run to run and from machine to machine, so it is no output of the pipeline: `ringbound cost
--write` puts it beside them, to be committed, and a pull request's report shows it before and after.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from ringbound import workspace
from ringbound.errors import ModelError, RecordError
from ringbound.models.facts import ModelFacts
from ringbound.monitoring.alarm import Alarm
from ringbound.monitoring.alerts import note_alarms
from ringbound.notebooks.stage import StageCost
from ringbound.release.markdown import table
from ringbound.store import Store
from ringbound.workspace import layout
from ringbound.workspace.records import Record
from ringbound.workspace.revision import Revision


@dataclass(frozen=True)
class Rates:
    """What a processor's hour and a gigabyte for a month cost, and what may be spent: on a run, and on 1,000 answers.

    0 for a budget is none.
    """

    cpu_hour: float
    gb_month: float
    currency: str
    run: float
    answers: float

    @classmethod
    def from_section(cls, section: Any) -> "Rates":
        """Return the section `cost` of params.yaml, which must have exactly these names and types."""
        names = [field.name for field in fields(cls)]
        if not isinstance(section, dict) or set(section) != set(names):
            got = sorted(section) if isinstance(section, dict) else section
            raise ModelError(f"params.yaml, section cost: expected {names}; got {got}")
        for name, value in section.items():
            number = type(value) in (int, float) and 0 <= value < math.inf
            right = isinstance(value, str) and value.isprintable() if name == "currency" else number
            if not right:
                kind = "a text" if name == "currency" else "a number of at least 0"
                raise ModelError(f"params.yaml, section cost: expected {name} as {kind}; got {value!r}")
        return cls(**section)

    def of(self, cpu_seconds: float) -> float:
        """Return what processor time costs."""
        return self.cpu_hour * cpu_seconds / 3600


@dataclass(frozen=True)
class Costs(Record):
    """`data/reports/cost.json`: each stage's last run, how many trials the search had, and µs an answer by rung.

    Of `unknown` stages no run was measured here: they came out of a cache, or ran elsewhere. A search that was killed, and
    gone on with, counts its last run alone.
    """

    made_by: ClassVar[str] = "ringbound cost --write"

    model: str
    trials: int
    stages: dict[str, StageCost]
    answer_us: dict[str, float]
    unknown: list[str]

    @property
    def cpu_seconds(self) -> float:
        """Processor time of all stages together."""
        return sum(one.cpu_seconds for one in self.stages.values())

    def lines(self, rates: Rates) -> list[str]:
        """Return the costs as a table for a terminal."""
        lines = [f"{'stage':<10} {'s':>8} {'cpu s':>8} {'peak MB':>8} {'MB out':>8} {rates.currency:>8}"]
        for name, one in self.stages.items():
            money, size = f"{rates.of(one.cpu_seconds):.4f}", f"{one.peak / 1e6:>8.0f} {one.written / 1e6:>8.1f}"
            lines.append(f"{name:<10} {one.seconds:>8.1f} {one.cpu_seconds:>8.1f} {size} {money:>8}")
        written = sum(one.written for one in self.stages.values())
        least = "at least " if self.unknown else ""
        lines.append(f"a run: {least}{self.cpu_seconds:,.0f} cpu s, {rates.currency}{rates.of(self.cpu_seconds):.4f}")
        lines.append(
            f"its outputs: {written / 1e6:,.1f} MB, {rates.currency}{rates.gb_month * written / 1e9:.4f} a month"
        )
        if self.trials and "tune" in self.stages:
            each = self.stages["tune"].cpu_seconds / self.trials
            lines.append(f"a trial: {each:,.1f} cpu s, {rates.currency}{rates.of(each):.5f}")
        for rung, us in self.answer_us.items():
            lines.append(f"1,000 answers of {rung}: {us / 1000:.2f} cpu s, {rates.currency}{rates.of(us / 1000):.6f}")
        return lines

    def for_page(self, rates: Rates, rows: int) -> dict[str, str]:
        """Return what a run and so many answers of the full model cost, for a page."""
        least = "at least " if self.unknown else ""
        found = {"cost_of_a_run": f"{least}{rates.currency}{rates.of(self.cpu_seconds):.4f}"}
        if us := self.answer_us.get("full"):
            found["cost_of_these_answers"] = f"{rates.currency}{rates.of(us / 1e6 * rows):.6f}"
        return found

    def beyond(self, rates: Rates) -> dict[str, str]:
        """Return which budgets are exceeded, in words, by the name of the alert that says so."""
        run, answers = rates.of(self.cpu_seconds), rates.of(self.answer_us.get("full", 0.0) / 1000)
        found = {}
        if rates.run and run > rates.run:
            found["cost/run"] = f"a run costs {rates.currency}{run:.4f}, {rates.currency}{rates.run:g} may be spent"
        if rates.answers and answers > rates.answers:
            says = f"1,000 answers cost {rates.currency}{answers:.6f}, {rates.currency}{rates.answers:g} may be spent"
            found["cost/answers"] = says
        return found


def measured_stages(root: Path) -> tuple[dict[str, StageCost], list[str]]:
    """Return what the stages took that have made what is in the workspace, and those of which that is not known."""
    found: dict[str, StageCost] = {}
    unknown = []
    for name in workspace.load_yaml(root / "dvc.yaml").get("stages") or {}:
        report = root / layout.REPORTS / f"{name}.ipynb"
        if not report.is_file():
            continue  # no notebook
        try:
            one = StageCost.read(root / layout.COSTS / f"{name}.json")
        except (RecordError, OSError):
            unknown.append(name)
            continue
        figures = (one.seconds, one.cpu_seconds, one.peak, one.written)
        if (
            all(0 <= figure < math.inf for figure in figures)
            and one.of == hashlib.sha256(report.read_bytes()).hexdigest()
        ):
            found[name] = one
        else:
            unknown.append(name)
    return found, unknown


def measure(root: Path, answer_us: dict[str, float]) -> Costs:
    """Return the costs of the workspace's model."""
    trials = root / layout.TRIALS
    number = max(0, len(trials.read_text("utf-8", "replace").splitlines()) - 1) if trials.is_file() else 0
    stages, unknown = measured_stages(root)
    return Costs(ModelFacts.read(root / layout.MODEL).version, number, stages, answer_us, unknown)


def note_costs(store: Store, beyond: Mapping[str, str], day: str) -> None:
    """Open an alert for each budget that is exceeded; one that is kept to again is resolved like any other."""
    action = "see ringbound cost; make it cheaper, or raise the budget in params.yaml"
    alarms = [Alarm(name, day, "warning", says, "load", action) for name, says in beyond.items()]
    note_alarms(store, alarms, {"cost/run", "cost/answers"} - set(beyond), day)


def changes(base: Revision, head: Revision) -> list[str]:
    """Return what a change does to costs, in Markdown."""
    before, after = _of_model(base), _of_model(head)
    if before is None or after is None:
        which = " and ".join(one.name for one, costs in ((base, before), (head, after)) if costs is None)
        return [f"Not measured in {which}: `ringbound cost --write`, to be committed."]
    rates = Rates.from_section(head.yaml("params.yaml").get("cost"))
    rows = []
    for name in dict.fromkeys([*before.stages, *after.stages]):
        one, other = before.stages.get(name), after.stages.get(name)
        figures = [("–", "–") if s is None else (f"{s.cpu_seconds:,.1f}", f"{s.peak / 1e6:,.0f}") for s in (one, other)]
        rows.append([name, figures[0][0], figures[1][0], figures[0][1], figures[1][1]])
    money = lambda seconds: f"{rates.currency}{rates.of(seconds):.4f}"  # noqa: E731
    least = ["at least " if costs.unknown else "" for costs in (before, after)]
    totals = [f"{costs.cpu_seconds:,.0f} cpu s, {money(costs.cpu_seconds)}" for costs in (before, after)]
    thousand = [f"{costs.answer_us.get('full', 0) / 1000:.2f} cpu s" for costs in (before, after)]
    answers = f"1,000 answers of the full model: {thousand[0]} → {thousand[1]}"
    return [
        table(["stage", "cpu s before", "after", "peak MB before", "after"], rows),
        f"A run: {least[0]}{totals[0]} → {least[1]}{totals[1]}. {answers}.",
        *[f"⚠️ {says}" for says in after.beyond(rates).values()],
    ]


def _of_model(revision: Revision) -> Costs | None:
    """Return what was measured of the model that a revision has; None where that is another's, or nothing."""
    costs, model = revision.record(layout.COST, Costs), revision.record(layout.MODEL, ModelFacts)
    return costs if costs and model and costs.model == model.version else None
