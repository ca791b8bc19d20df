"""`ringbound`: every command, and how failures are said."""

import os
import sys
from contextlib import suppress
from typing import Any

import typer

from ringbound import workspace
from ringbound.cli import (
    cost,
    events,
    features,
    history,
    keys,
    monitor,
    new,
    operations,
    outcomes,
    pipeline,
    receipts,
    release,
    retrain,
    rollout,
    serving,
    simulate,
    upgrade,
)
from ringbound.errors import RingboundError, one_line

UsageError: Any = typer.BadParameter.__mro__[1]
"""Wrong use of any kind: typer has a click of its own, of whose errors it shows this one's child."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Turn notebooks into a production ML system: run its stages, look at what they made, score files, serve.",
)
for command in (
    new.new,
    upgrade.upgrade,
    pipeline.stage,
    pipeline.summary,
    serving.score,
    serving.serve,
    monitor.monitor,
    retrain.retrain,
    simulate.simulate,
    history.history,
    cost.cost,
    release.gate,
    release.report,
    release.ladder,
):
    app.command()(command)
app.add_typer(pipeline.notebooks, name="notebooks")
app.add_typer(monitor.alerts, name="alerts")
app.add_typer(events.app, name="events")
app.add_typer(features.app, name="features")
app.add_typer(keys.app, name="keys")
app.add_typer(outcomes.app, name="outcomes")
app.add_typer(operations.app, name="ops")
app.add_typer(receipts.app, name="receipts")
app.add_typer(release.registry, name="registry")
app.add_typer(rollout.app, name="rollout")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; wrong use is one line and exit code 2, a failure one line and exit code 1."""
    _find_own_code()
    try:
        code = app(arguments, standalone_mode=False)
    except UsageError as error:
        says, command = error.format_message(), error.ctx.command_path if error.ctx else "ringbound"
        # Of a group that was called without a command, typer says its help.
        alone = f"{command}: {one_line(Exception(says))} (see {command} --help)"
        print(says if "\n" in says.strip() else alone, file=sys.stderr)
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except (RingboundError, OSError) as error:
        print(f"ringbound: {one_line(error)}", file=sys.stderr)
        code = 1
    except Exception as error:
        if os.environ.get("RINGBOUND_TRACEBACK"):
            raise
        says = one_line(Exception(f"{type(error).__name__}: {error}"))
        print(
            f"ringbound: did not expect this: {says}; a file may be damaged, or this is a mistake of ours; "
            "RINGBOUND_TRACEBACK=1 shows where",
            file=sys.stderr,
        )
        code = 1
    sys.exit(code or 0)


def _find_own_code() -> None:
    """Let the workspace's package be found where nobody has installed it."""
    with suppress(RingboundError, OSError):
        code = str(workspace.root() / "src")
        if code not in sys.path:
            sys.path.insert(0, code)
