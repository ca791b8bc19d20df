"""Commands about the pipeline: `ringbound stage | notebooks … | summary`."""

import os
import warnings
from typing import Annotated

import typer

from ringbound import workspace
from ringbound.workspace import layout

notebooks = typer.Typer(no_args_is_help=True, help="Keep notebooks clean and their modules in step.")


def stage(name: Annotated[str, typer.Argument(help="A stage of dvc.yaml, which is a notebook of that name.")]) -> None:
    """Run one notebook as a stage of the pipeline; `dvc repro` calls this."""
    from ringbound.notebooks.stage import run

    warnings.filterwarnings("ignore", module="nbformat|nbconvert|papermill|traitlets|tqdm")
    os.environ["RINGBOUND_ARCHIVE"] = str(workspace.archive_folder())  # a stage's kernel sees another root
    run(name, workspace.root())


@notebooks.command()
def clean() -> None:
    """Remove outputs, counts and all metadata but tags from every notebook."""
    from ringbound.notebooks.source import all_notebooks, write_clean

    for notebook in all_notebooks(workspace.root()):
        write_clean(notebook)


@notebooks.command()
def export() -> None:
    """Write the module of every notebook."""
    from ringbound.notebooks.export import export as write_modules
    from ringbound.notebooks.source import all_notebooks

    root = workspace.root()
    write_modules(all_notebooks(root), root / "src" / workspace.package_name(root))


@notebooks.command()
def check() -> None:
    """Say which notebooks are not clean, and which modules are not in step with theirs or would not run alone."""
    from ringbound.notebooks.export import problems

    lines = problems(workspace.root())
    for line in lines:
        typer.echo(line, err=True)
    if lines:
        raise typer.Exit(1)


@notebooks.command()
def code() -> None:
    """Write what each stage depends on besides data into data/code; the stage `code` of dvc.yaml calls this."""
    from ringbound.notebooks.dependencies import write_code

    write_code(workspace.root())


def summary() -> None:
    """Say what the pipeline has made and what to try next."""
    from rich.console import Console
    from rich.table import Table

    from ringbound.errors import ModelError
    from ringbound.evaluation.records import Metrics
    from ringbound.models.facts import ModelFacts

    root = workspace.root()
    metrics = Metrics.read(root / layout.METRICS)
    model = ModelFacts.read(root / layout.MODEL)
    if metrics.version != model.version:
        raise ModelError(f'expected metrics of model {model.version}; got those of {metrics.version}; run "dvc repro"')
    learnt = model.learnt
    title = f"model {model.version}: {learnt.candidate}, on {metrics.rows:,} rows it has not seen"
    table = Table("metric", "model", f"baseline: {metrics.against}", title=title, title_justify="left")
    for metric, value in metrics.model.items():
        table.add_row(metric, str(value), str(metrics.baseline[metric]))
    Console(highlight=False).print(table)
    typer.echo(f"in brackets {metrics.covers}; other months may be further off")
    reports = sorted(path.relative_to(root).as_posix() for path in (root / layout.REPORTS).glob("*.html"))
    if model.warning:
        typer.echo(f"the full model {model.warning} on the months it was chosen on: see the model card")
    typer.echo(f"learnt from {learnt.rows:,} rows, {learnt.first} to {learnt.last}")
    typer.echo(f"model card: {layout.CARD}")
    typer.echo(f"executed notebooks: {' '.join(reports)}")
    serving = (
        "make serve" if (root / "Makefile").is_file() else '"ringbound features load", "ringbound serve --clock event"'
    )
    typer.echo(f"next: {serving} (answers on http://127.0.0.1:3000)")
