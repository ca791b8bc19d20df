"""`ringbound monitor` and `ringbound alerts`: how answers are doing, and what was found wrong."""

import getpass
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ringbound import workspace
from ringbound.cli.options import StoreOption, ThroughOption, WindowOption, days_of, instant_of, open_store
from ringbound.errors import ModelError, ProblemError, RecordError
from ringbound.workspace import layout

if TYPE_CHECKING:
    from ringbound.monitoring.report import Report
    from ringbound.store import Fact, KeptReport

MOST_DAYS = 36_500
AUDITED = 200
"""So many of the latest answers are made again from the log."""
NEWS = 3
"""The exit code where there is something to look at."""
NameArgument = Annotated[str, typer.Argument(help="The alert's name, like data/weather.")]
WhyOption = Annotated[str, typer.Option("--reason", help="Why; kept for good.")]

alerts = typer.Typer(help="See what monitors found, and say what becomes of it.", invoke_without_command=True)


def monitor(
    window: WindowOption = "28d",
    through: ThroughOption = "",
    environment: Annotated[
        str, typer.Option("--environment", help="Whose model it is about; by default that of the workspace.")
    ] = "",
    webhook: Annotated[
        str, typer.Option(envvar="RINGBOUND_WEBHOOK", help="Where new alerts are told, by a POST of JSON.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="The folder for the page and the report; by default data/ops/monitor.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Hold what was asked and answered against what the model learnt from; exit code 3 where an alert was opened."""
    from ringbound.feedback.alarms import feedback_alarms
    from ringbound.feedback.derive import derive_outcomes
    from ringbound.feedback.effect import effect_of_decisions
    from ringbound.feedback.final import final_answers
    from ringbound.feedback.suspects import accepted, suspects
    from ringbound.models.bundle import load_bundle
    from ringbound.monitoring.alerts import alerts_of, note_alarms, standing
    from ringbound.monitoring.budget import AlarmBudget
    from ringbound.monitoring.days import DAY_US
    from ringbound.monitoring.run import read_profile, run_monitors
    from ringbound.monitoring.skew import skew_alarms
    from ringbound.monitoring.view import page, status_lines
    from ringbound.monitoring.webhook import check_url, tell
    from ringbound.proofs.audit import audit
    from ringbound.store import WALL, instant

    root = workspace.root()
    days, present = days_of(window), instant_of(through)
    if webhook:
        check_url(webhook)
    target = out or root / layout.MONITOR
    target.mkdir(parents=True, exist_ok=True)
    budget = AlarmBudget.from_section((workspace.load_yaml(root / "params.yaml") or {}).get("monitor"))
    if environment:
        from ringbound.release.registry import fetch_version, open_registry

        folder = fetch_version(open_registry(root), environment) / layout.MODELS
    else:
        folder = workspace.stage_input(layout.MODELS)
    bundle, profile = load_bundle(folder), read_profile(folder)
    opened = open_store(store)
    problem, mature = bundle.problem, bundle.problem.mature_us
    if problem.outcome:
        try:
            derive_outcomes(opened, problem, since=present - days * DAY_US - 2 * mature, through=present)
        except ProblemError as error:  # of the problem's own code: what is known is looked at all the same
            typer.echo(f"no outcomes are taken from events: {error}", err=True)
    done = run_monitors(
        opened,
        bundle,
        profile,
        through=present,
        days=days,
        budget=budget,
        versions=_to_answer(opened.facts(environment, looks=False) if environment else [], bundle.version),
        standing=[one.name for one in standing(alerts_of(opened.alert_facts())).values() if one.state != "resolved"],
        sketches=root / layout.PROFILES / bundle.version,
    )
    alarms = [*done.alarms, *skew_alarms(audit(bundle, opened, newest=AUDITED), done.report.last)]
    since, effect = present - mature - days * DAY_US, None
    if problem.undecided or len(opened.tellers(since, present)) > 1:  # else nobody contradicts anybody
        came = final_answers(opened, since, present - mature, mature=mature, known_by=present)
        reasons = suspects(came)
        alarms += feedback_alarms(came, reasons)
        effect = effect_of_decisions(accepted(came, reasons))
    new = note_alarms(opened, alarms, done.settled, done.report.last)
    report = replace(done.report, system=done.report.system | _costs(root, done.report))
    opened.add_report(report.to_text())
    known = alerts_of(opened.alert_facts())
    report.write(target / "report.json")
    (target / "index.html").write_text(page(report, known, instant(WALL.now())[:16]), "utf-8")
    for line in status_lines(report, known):
        typer.echo(line)
    if effect:
        typer.echo(f"decisions      {effect}")
    typer.echo(f"\npage           {target / 'index.html'}")
    if webhook:
        waiting = [one for one in standing(known).values() if one.state == "open"]
        if failed := tell(opened, waiting, webhook):
            typer.echo(f"webhook        {failed} alerts could not be told; they are with the next run", err=True)
    if new:
        raise typer.Exit(NEWS)


def _costs(root: Path, report: "Report") -> dict[str, str]:
    """Return what the model of a report costs in money, where `ringbound cost --write` has measured it."""
    from ringbound.release.cost import Costs, Rates

    if not (root / layout.COST).is_file():
        return {}
    try:
        costs = Costs.read(root / layout.COST)
        rates = Rates.from_section((workspace.load_yaml(root / "params.yaml") or {}).get("cost"))
    except (RecordError, ModelError) as error:  # of what days and alerts need nothing
        typer.echo(f"costs are not shown: {error}", err=True)
        return {}
    return costs.for_page(rates, report.rows) if costs.model == report.model else {}


@alerts.callback()
def list_alerts(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Those that are resolved, too.")] = False,
    store: StoreOption = None,
) -> None:
    """Show the alerts that stand; exit code 3 where one is not acknowledged."""
    from ringbound.monitoring.alerts import alerts_of, standing
    from ringbound.monitoring.view import alert_lines

    if context.invoked_subcommand:
        return
    known = alerts_of(open_store(store).alert_facts())
    shown = known if every else [one for one in standing(known).values() if one.state != "resolved"]
    typer.echo("\n".join(alert_lines(shown)) if shown else "no alert is open")
    if any(one.state == "open" for one in shown):
        raise typer.Exit(NEWS)


@alerts.command()
def acknowledge(name: NameArgument, reason: WhyOption = "", store: StoreOption = None) -> None:
    """Say that somebody looks into it: it stands, and raises no exit code any more."""
    _change(store, name, "acknowledge", reason)


@alerts.command()
def resolve(name: NameArgument, reason: WhyOption = "", store: StoreOption = None) -> None:
    """Say that it is over; where it comes again soon, it is called recurring."""
    _change(store, name, "resolve", reason)


def _change(url: str | None, name: str, kind: str, reason: str) -> None:
    from ringbound.monitoring.alerts import change
    from ringbound.rollout.view import plain

    opened = open_store(url)
    done = change(opened, name, kind, getpass.getuser(), reason, _last_day(opened.last_report()))  # type: ignore[arg-type]
    typer.echo(f"{plain(name)}: {done.state}")


def _last_day(report: "KeptReport | None") -> str:
    """Return the day that the last report ends with; today, where there is none that can be read."""
    from ringbound.monitoring.report import Report

    if report is not None:
        with suppress(RecordError):
            return Report.from_text(report.content, "the last report").last
    return datetime.now(UTC).strftime("%Y-%m-%d")


def _to_answer(facts: "Sequence[Fact]", version: str) -> Callable[[str], list[str]]:
    """Return what says which models were to answer on a day, by an environment's facts; where there are none, `version`."""
    from ringbound.monitoring.days import DAY_US, start_of
    from ringbound.rollout.plan import state_of

    def on(day: str) -> list[str]:
        start = start_of(day)
        before = state_of([fact for fact in facts if fact.at <= start])
        stood = [before.champion, before.rollout.start if before.rollout else None]
        during = [f for f in facts if start < f.at <= start + DAY_US and f.kind in ("serve", "start")]
        return list(dict.fromkeys(fact.model for fact in [*stood, *during] if fact)) or [version]

    return on
