"""`ringbound retrain`: learn anew where there is a cause, hold the model to the gates, and hand it on if told to."""

import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ringbound import workspace
from ringbound.cli.options import PROD, EnvironmentOption, StoreOption, ThroughOption, days_of, instant_of, open_store
from ringbound.errors import RecordError, StoreError, WorkspaceError
from ringbound.workspace import layout

if TYPE_CHECKING:
    from ringbound.release.causes import Policy

AHEAD, PAUSE_DAYS = 14, 7
"""How many days on a loss is forecast, and how many pass at least from one retraining to the next that monitors cause."""


def retrain(
    policy: Annotated[
        Literal["always", "schedule", "drift", "performance", "forecast"],
        typer.Option("--if", help="What is cause enough: its age, alerts, where its loss is going, or nothing needed."),
    ],
    through: ThroughOption = "",
    every: Annotated[str, typer.Option(help="For --if schedule: how old it may get, like 30d.")] = "30d",
    environment: EnvironmentOption = PROD,
    then: Annotated[
        Literal["stop", "promote", "rollout"],
        typer.Option(help="What becomes of a version whose verdict is to promote it."),
    ] = "stop",
    store: StoreOption = None,
) -> None:
    """Learn up to the present, on a branch of its own, where there is a cause; a model never serves against its verdict."""
    from ringbound.release.registry import open_registry
    from ringbound.release.retraining import Retraining, forget, goes_on, learnt_through, only_one
    from ringbound.release.retraining import retrain as learn
    from ringbound.workspace.revision import git

    root = workspace.root()
    registry, folder = open_registry(root), root / layout.RETRAIN
    with only_one(folder):
        asked = goes_on(root, folder)
        if asked is None:
            before = learnt_through(registry)
            present = datetime.fromtimestamp(instant_of(through) / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            if present <= before:
                raise WorkspaceError(f"retrain: expected a time after {before}, up to which is learnt; got {present}")
            cause = _cause(policy, before[:10], present[:10], days_of(every), store)
            if not cause:
                typer.echo(f"nothing to do: no cause by {policy} since {before[:10]}")
                return
            base = git(root, "rev-parse", "HEAD").strip()
            asked = Retraining(cause, policy, base, before, present, environment, then)
        else:
            typer.echo(f"going on with what was begun: up to {asked.through}, {asked.cause}; then {asked.then}")
        done = learn(registry, folder, asked, typer.echo)
        typer.echo(f"{done.entry.version}: model {done.model}, verdict {done.verdict.decision}")
        for result in done.verdict.results:
            if result.outcome != "passed":
                typer.echo(f"  {result.outcome}: {result.gate}: {result.says}")
        forget(root, folder)  # before it is handed on, which is done once or not at all
        if done.verdict.decision == "promote" and asked.then != "stop":
            _hand_on(done.entry.version, asked.environment, asked.then, asked.cause, store)


def _cause(policy: "Policy", learnt: str, present: str, every: int, store: str | None) -> str:
    from ringbound.monitoring.alerts import alerts_of
    from ringbound.monitoring.report import Report
    from ringbound.release.causes import alert_cause, forecast_cause, schedule_cause

    if policy == "always":
        return "asked for"
    if policy == "schedule":
        return schedule_cause(learnt, present, every)
    if not schedule_cause(learnt, present, PAUSE_DAYS):
        return ""
    opened = open_store(store)
    if policy != "forecast":
        return alert_cause(policy, alerts_of(opened.alert_facts()), learnt)
    kept = opened.last_report()
    if kept is None:
        raise StoreError('retrain: expected a report of the monitors; there is none; run "ringbound monitor"')
    try:
        report = Report.from_text(kept.content, "the last report")
    except RecordError as error:
        raise StoreError(f'retrain: {error}; run "ringbound monitor"') from error
    section = (workspace.load_yaml(workspace.root() / "params.yaml") or {}).get("monitor") or {}
    return forecast_cause(report, learnt, present, AHEAD, float(section.get("tolerance", 0.0)))


def _hand_on(version: str, environment: str, then: str, cause: str, store: str | None) -> None:
    """Promote a version, or begin its roll-out, as the commands do."""
    more = ["--store", store] if store else []
    command = {
        "promote": ["registry", "promote", version, environment, "--reason", f"retrained: {cause}"],
        "rollout": ["rollout", "start", version, "--environment", environment, "--promote"],
    }[then]
    done = subprocess.run([sys.executable, "-m", "ringbound", *command, *more], capture_output=True, text=True)
    typer.echo((done.stdout + done.stderr).rstrip())
    if done.returncode:
        raise typer.Exit(done.returncode)
