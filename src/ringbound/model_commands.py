"""The command line for models: `ringbound gate | report | ladder` and `ringbound registry …`."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ringbound import workspace
from ringbound.errors import RegistryError

if TYPE_CHECKING:
    from ringbound.models.registry import Entry, Registry

PROD = "prod"
STAGES = Path("data/ops/stages")
SERVED = ("data/models", "data/bento")
StageOption = Annotated[str, typer.Option(help="The stage whose model is the champion.")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept for good.")]
PushOption = Annotated[
    str, typer.Option("--push", help="The git remote to push it to; of two, the first one there wins.")
]

app = typer.Typer(no_args_is_help=True, help="Keep models as versions in git, and say which one serves.")


def gate(stage: StageOption = PROD) -> None:
    """Hold the workspace's model to the gates, against what a stage has; write the verdict, which is committed with it."""
    from ringbound.feature_commands import training_context
    from ringbound.loop.gate import contender, judge, prove
    from ringbound.models.gates import Gates
    from ringbound.models.registry import VERDICT
    from ringbound.revision import Revision

    root = workspace.root()
    gates = Gates.of(workspace.load_yaml(root / "params.yaml").get("gates"))
    held = _registry().holder(stage)
    with tempfile.TemporaryDirectory() as folder:
        champion = contender(Revision(root, held.commit), Path(folder)) if held else None
        challenger = contender(Revision(root), Path(folder))
        judged = judge(champion, challenger, gates, stage=stage, proofs=prove(gates, training_context()))
    (root / VERDICT).write_text(json.dumps(judged.verdict.to_json(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    for reason in judged.verdict.reasons:
        typer.echo(f"{reason.outcome:<6}  {reason.gate}: {reason.says}")
    first, second = judged.latency_us
    if champion:
        typer.echo(f"one row, the model alone: {first:.0f} µs before, {second:.0f} µs after")
    against = f"{held.version} in {stage}" if held else f"its own prior, as {stage} has nothing"
    typer.echo(f"{judged.verdict.decision}: model {challenger.version} against {against} ({VERDICT})")


def report(
    base: Annotated[str, typer.Option(help="The revision to compare with, like main or HEAD~1.")],
    head: Annotated[str | None, typer.Option(help="The revision to report on; by default the workspace.")] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; by default it is printed.")] = None,
    stage: StageOption = PROD,
) -> None:
    """Say on one page what a change does to data, features, models and costs, from two revisions' outputs."""
    from ringbound.loop.report import report as write_report
    from ringbound.revision import Revision

    root = workspace.root()
    page = write_report(Revision(root, base), Revision(root, head), package=workspace.package_name(root), stage=stage)
    if out is None:
        typer.echo(page, nl=False)
    else:
        out.write_text(page, "utf-8")
        typer.echo(f"{out}: {len(page):,} characters")


def ladder(
    rows: Annotated[int, typer.Option(min=10, max=1000, help="The latest requests to time.")] = 200,
) -> None:
    """Measure on this machine what each rung and each point of the cascade costs, and show how good it is."""
    from ringbound.feature_commands import training_context
    from ringbound.models.bundle import load_bundle
    from ringbound.serving.costs import cascade_costs, rung_costs

    bundle = load_bundle(workspace.stage_input("data/models"))
    evaluation = workspace.stage_input("data/evaluation")
    _, tables, _, requests = training_context()
    costs = rung_costs(bundle, tables, requests.sort_values("at").tail(rows))
    measured = json.loads(workspace.stage_input("data/reports/ladder.json").read_text("utf-8"))
    names = [name for name in next(iter(measured.values())) if name in ("auc", "log_loss", "mae", "rmse")]
    typer.echo(f"{'rung':>8} {'µs a row':>9} " + " ".join(f"{name:>9}" for name in names))
    for rung, found in measured.items():
        typer.echo(f"{rung:>8} {costs[rung]:>9.0f} " + " ".join(f"{found[name]['value']:>9.4f}" for name in names))
    if "reduced" not in costs:
        return
    typer.echo(f"\ncascade, on unseen rows\n{'asks full':>9} {'µs a row':>9} {'auc':>9} {'log_loss':>9}")
    for point in cascade_costs(bundle, evaluation, costs).itertuples():
        mark = "  in the bundle" if point.carried else ""
        typer.echo(f"{point.share:>9.0%} {point.us:>9.0f} {point.auc:>9.4f} {point.loss:>9.4f}{mark}")


@app.command()
def register(
    revision: Annotated[str, typer.Argument(help="The commit; its model is what dvc.lock there says.")] = "HEAD",
    note: Annotated[str, typer.Option(help="What this version is.")] = "",
    push: PushOption = "",
) -> None:
    """Make a commit a version."""
    registry = _registry()
    entry = registry.register(revision, note=note)
    _finish(registry, entry, push)
    typer.echo(f"{registry.name} {entry.version}: {entry.note.splitlines()[0]} ({entry.commit[:8]})")


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="A version, like v2.")],
    stage: Annotated[str, typer.Argument(help="A stage, like prod.")],
    force: Annotated[bool, typer.Option("--force", help="Against the verdict; needs --reason.")] = False,
    reason: ReasonOption = "",
    push: PushOption = "",
) -> None:
    """Give a stage a version that has passed the gates."""
    registry = _registry()
    _finish(registry, registry.promote(version, stage, force=force, reason=reason), push)
    typer.echo(f"{stage} has {version}")


@app.command()
def rollback(
    stage: Annotated[str, typer.Argument(help="A stage, like prod.")], reason: ReasonOption = "", push: PushOption = ""
) -> None:
    """Give a stage back what it had before."""
    registry = _registry()
    entry = registry.rollback(stage, reason=reason)
    _finish(registry, entry, push)
    typer.echo(f"{stage} has {entry.version}")


@app.command("list")
def list_versions() -> None:
    """List the versions and what each stage has."""
    registry = _registry()
    stages = registry.stages()
    for version, entry in registry.versions().items():
        held = ", ".join(stage for stage, change in stages.items() if change.version == version)
        typer.echo(f"{version:<5} {entry.when}  {entry.commit[:8]}  {entry.note.splitlines()[0]}  {held}".rstrip())
    if not registry.versions():
        typer.echo("no versions yet: ringbound registry register")


@app.command()
def show(version: Annotated[str, typer.Argument(help="A version, like v2, or a stage.")]) -> None:
    """Show all that is known of a version: data, params, metrics, verdict, features, commit, who and when."""
    from ringbound.models.registry import describe

    typer.echo(describe(_registry(), version))


@app.command()
def history() -> None:
    """Show what was registered, promoted and rolled back, when, by whom and why."""
    from ringbound.models.registry import history as lines

    for line in lines(_registry().entries()):
        typer.echo(line)


@app.command()
def fetch(version: Annotated[str, typer.Argument(help="A version, like v2, or a stage.")] = PROD) -> None:
    """Fetch a version's bundle and Bento out of DVC's cache or remote into data/ops/stages."""
    typer.echo(f"{fetched(version).relative_to(workspace.root()).as_posix()}/: {', '.join(SERVED)}")


def fetched(version: str) -> Path:
    """Return the folder with the bundle and the Bento of a version, or of what a stage has, checked to be that model."""
    from ringbound.models.bundle import read_facts
    from ringbound.models.registry import MODEL
    from ringbound.revision import Revision

    root = workspace.root()
    entry = _registry().version(version)
    at = Revision(root, entry.commit)
    folder = workspace.fresh_folder(root / STAGES / version)
    for path in SERVED:
        at.fetch(path, folder)
    found, described = read_facts(folder / "data/models")[0]["version"], at.json(MODEL)["version"]
    if found != described:
        raise RegistryError(f"registry: expected model {described} for {entry.version}; fetched is {found}")
    return folder


def _registry() -> "Registry":
    from ringbound.models.registry import Registry

    root = workspace.root()
    artifacts = workspace.load_yaml(root / "dvc.yaml").get("artifacts", {})
    names = [name for name, about in artifacts.items() if about.get("type") == "model"]
    if len(names) != 1:
        raise RegistryError(f"registry: expected one artifact of type model in dvc.yaml; got {names}")
    return Registry(root, names[0])


def _finish(registry: "Registry", entry: "Entry", remote: str) -> None:
    if remote:
        registry.push(entry, remote)
