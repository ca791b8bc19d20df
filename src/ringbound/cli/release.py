"""Commands for models: `ringbound gate | report | ladder` and `ringbound registry …`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ringbound import workspace
from ringbound.cli.options import PROD, EnvironmentOption, StoreOption, open_store
from ringbound.workspace import layout

if TYPE_CHECKING:
    from ringbound.release.registry import Registry
    from ringbound.release.tags import Entry

ReasonOption = Annotated[str, typer.Option(help="Why; kept for good.")]
PushOption = Annotated[
    str, typer.Option("--push", help="The git remote to push it to; of two, the first one there wins.")
]

registry = typer.Typer(no_args_is_help=True, help="Keep models as versions in git, and say which one serves.")


def gate(environment: EnvironmentOption = PROD) -> None:
    """Hold the workspace's model to the gates, against what an environment has; write the verdict, to be committed."""
    from ringbound.problem.declaration import load_problem
    from ringbound.proofs.history import read_history
    from ringbound.release.judgement import judge_workspace
    from ringbound.release.registry import open_registry

    root = workspace.root()
    problem = load_problem(workspace.problem_entry(root))
    history = read_history(problem, workspace.stage_input(layout.CLEAN), workspace.stage_input(layout.FEATURES))
    held = open_registry(root).holder(environment)
    typer.echo("gate: comparing models, timing them and replaying requests", err=True)
    judged = judge_workspace(root, held.commit if held else None, history, environment=environment)
    verdict = judged.verdict
    verdict.write(root / layout.VERDICT)
    for result in verdict.results:
        typer.echo(f"{result.outcome:<6}  {result.gate}: {result.says}")
    first, second = judged.latency_us
    if held:
        typer.echo(f"one row, the model alone: {first:.0f} µs before, {second:.0f} µs after")
    against = f"{held.version} in {environment}" if held else f"its own baseline, as {environment} has nothing"
    typer.echo(f"{verdict.decision}: model {verdict.challenger} against {against} ({layout.VERDICT})")


def report(
    base: Annotated[str, typer.Option(help="The revision to compare with, like main or HEAD~1.")] = "HEAD",
    head: Annotated[str | None, typer.Option(help="The revision to report on; by default the workspace.")] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; by default it is printed.")] = None,
    environment: EnvironmentOption = PROD,
) -> None:
    """Say on one page what a change does to data, features, models and costs, from two revisions' outputs."""
    from ringbound.release.report import report as write_report
    from ringbound.workspace.revision import Revision

    root = workspace.root()
    page = write_report(Revision(root, base), Revision(root, head), environment=environment)
    if out is None:
        typer.echo(page, nl=False)
    else:
        out.write_text(page, "utf-8")
        typer.echo(f"{out}: {len(page):,} characters")


def ladder(
    rows: Annotated[int, typer.Option(min=10, max=1000, help="The latest requests to time.")] = 200,
) -> None:
    """Measure on this machine what each rung and each point of the cascade costs, and show how good it is."""
    from ringbound.errors import ModelError
    from ringbound.evaluation.answers import read_evaluation
    from ringbound.evaluation.costs import cascade_costs, rung_costs
    from ringbound.evaluation.records import Ladder
    from ringbound.features.offline import EventTables
    from ringbound.models.bundle import load_bundle
    from ringbound.problem.training import read_requests

    bundle = load_bundle(workspace.stage_input(layout.MODELS))
    evaluation = read_evaluation(workspace.stage_input(layout.EVALUATION))
    tables = EventTables(workspace.stage_input(layout.CLEAN), bundle.features.sources)
    requests = read_requests(workspace.stage_input(layout.FEATURES))
    measured = Ladder.read(workspace.stage_input(layout.LADDER))
    for version in (evaluation.facts.version, measured.version):
        if version != bundle.version:
            raise ModelError(
                f'expected an evaluation of model {bundle.version}; got one of {version}; run "dvc repro evaluate"'
            )
    costs = rung_costs(bundle, tables, requests.sort_values("at").tail(rows))
    names = bundle.task.headline
    typer.echo(f"{'rung':>8} {'µs a row':>9} " + " ".join(f"{name:>9}" for name in names))
    for rung, estimates in measured.rungs.items():
        typer.echo(f"{rung:>8} {costs[rung]:>9.0f} " + " ".join(f"{estimates[name].value:>9.4f}" for name in names))
    for rung, why in measured.left_out.items():
        typer.echo(f"{rung:>8} is left out: it {why}")
    points = cascade_costs(bundle, evaluation, costs)
    if not len(points):
        return
    typer.echo(f"\ncascade, on unseen rows\n{'asks full':>9} {'µs a row':>9} {'auc':>9} {'log_loss':>9}")
    for point in points.itertuples():
        mark = "  in the bundle" if point.carried else ""
        typer.echo(f"{point.share:>9.0%} {point.us:>9.0f} {point.auc:>9.4f} {point.loss:>9.4f}{mark}")


@registry.command()
def register(
    revision: Annotated[str, typer.Argument(help="The commit; its model is what dvc.lock there says.")] = "HEAD",
    note: Annotated[str, typer.Option(help="What this version is.")] = "",
    push: PushOption = "",
) -> None:
    """Make a commit a version."""
    opened = _registry()
    entry = opened.register(revision, note=note)
    _finish(opened, entry, push)
    typer.echo(f"{opened.name} {entry.version}: {entry.subject} ({entry.commit[:8]})")


@registry.command()
def promote(
    version: Annotated[str, typer.Argument(help="A version, like v2.")],
    environment: Annotated[str, typer.Argument(help="An environment, like prod.")],
    force: Annotated[bool, typer.Option("--force", help="Against the verdict; needs --reason.")] = False,
    reason: ReasonOption = "",
    push: PushOption = "",
    store: StoreOption = None,
) -> None:
    """Give an environment a version that has passed the gates; services that follow it serve it within two seconds."""
    opened = _registry()
    _finish(opened, opened.promote(version, environment, force=force, reason=reason), push)
    typer.echo(f"{environment} has {version}{_published(opened, environment, store, reason or 'promoted')}")


@registry.command()
def rollback(
    environment: Annotated[str, typer.Argument(help="An environment, like prod.")],
    reason: ReasonOption = "",
    push: PushOption = "",
    store: StoreOption = None,
) -> None:
    """Give an environment back what it had before; services that follow it serve it within two seconds."""
    opened = _registry()
    _check_settled(opened, environment, store)
    entry = opened.rollback(environment, reason=reason)
    _finish(opened, entry, push)
    typer.echo(f"{environment} has {entry.version}{_published(opened, environment, store, reason or 'rolled back')}")


@registry.command("list")
def list_versions() -> None:
    """List the versions and what each environment has."""
    opened = _registry()
    environments = opened.environments()
    for version, entry in opened.versions().items():
        held = ", ".join(name for name, change in environments.items() if change.version == version)
        typer.echo(f"{version:<5} {entry.when}  {entry.commit[:8]}  {entry.subject}  {held}".rstrip())
    if not opened.versions():
        typer.echo("no versions yet: ringbound registry register")


@registry.command()
def show(version: Annotated[str, typer.Argument(help="A version, like v2, or an environment.")]) -> None:
    """Show all that is known of a version: data, params, metrics, verdict, features, commit, who and when."""
    from ringbound.release.registry import describe

    typer.echo(describe(_registry(), version))


@registry.command()
def history() -> None:
    """Show what was registered, promoted and rolled back, when, by whom and why."""
    from ringbound.release.registry import history as lines

    for line in lines(_registry().entries()):
        typer.echo(line)


@registry.command()
def fetch(version: Annotated[str, typer.Argument(help="A version, like v2, or an environment.")] = PROD) -> None:
    """Fetch a version's bundle and Bento out of DVC's cache or remote into data/ops."""
    from ringbound.release.registry import SERVED, fetch_version

    folder = fetch_version(_registry(), version).relative_to(workspace.root())
    typer.echo(f"{folder.as_posix()}/: {', '.join(SERVED)}")


def _registry() -> "Registry":
    from ringbound.release.registry import open_registry

    return open_registry(workspace.root())


def _check_settled(opened: "Registry", environment: str, url: str | None) -> None:
    """Refuse to roll back what the registry does not know of: what was before it would be left out."""
    from ringbound.errors import RegistryError, StoreError
    from ringbound.release.publication import state

    try:
        served = state(open_store(url), environment).champion if url or _has_store() else None
    except StoreError:  # the way back needs no service
        return
    held = opened.holder(environment)
    if served and "evidence" in served.details and held and held.version != served.version:
        raise RegistryError(
            f"registry: a roll-out has promoted {served.version} in {environment}, and the registry has {held.version}; "
            'run "ringbound rollout settle" first'
        )


def _has_store() -> bool:
    return (workspace.root() / layout.STORE).is_file()


def _published(opened: "Registry", environment: str, url: str | None, why: str) -> str:
    """Tell the services that follow an environment what it has, where there are some, and return words about it."""
    from ringbound.errors import RingboundError, StoreError
    from ringbound.release.publication import publish, state, version_to_publish

    if url is None and not _has_store():
        return ""
    try:
        store = open_store(url)
        now = state(store, environment)
        if now.champion is None:
            return ""
        version = version_to_publish(opened, environment)
        if (now.champion.code, now.champion.version) != (version.code, version.version) or now.rollout:
            publish(store, environment, version, why)
    except RingboundError as error:
        raise StoreError(
            f'{error}; the registry has changed, and no service knows; run "ringbound rollout publish"'
        ) from error
    return "; services follow"


def _finish(opened: "Registry", entry: "Entry", remote: str) -> None:
    if remote:
        opened.push(entry, remote)
