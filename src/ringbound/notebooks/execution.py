"""Execute a notebook and keep what it showed: normalised to the same bytes every time, and as one page of HTML."""

import re
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat

from ringbound.errors import StageError, one_line

WATCH = "from ringbound.notebooks.sight import watch_from_environment as w; w(); del w"


class CellError(StageError):
    """A cell failed; `notebook` is the notebook as far as it was executed, the cell marked."""

    def __init__(self, message: str, notebook: nbformat.NotebookNode):
        super().__init__(message)
        self.notebook = notebook


def execute(path: Path, given: dict[str, Any], *, cwd: Path) -> nbformat.NotebookNode:
    """Run the notebook with papermill and the parameters `given` in the folder `cwd`; raise `CellError` where a cell fails.

    The cells' standard error goes to the terminal as it comes (progress bars, warnings) and is not kept: it carries
    times and paths. Standard output is evidence, and is.
    """
    # jsonschema would build a grammar of URLs, which takes a second and no notebook needs; None says it is not there.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    with warnings.catch_warnings():  # papermill's own bar, which is not used, looks for a widget library
        warnings.simplefilter("ignore")
        import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.exceptions import PapermillExecutionError

    name = path.stem
    started = time.monotonic()
    running: list[nbformat.NotebookNode] = []

    class StageClient(PapermillNotebookClient):
        def output(self, outs, msg, display_id, cell_index):
            if msg["msg_type"] == "stream" and msg["content"]["name"] == "stderr":
                sys.stderr.write(msg["content"]["text"])
                sys.stderr.flush()
                return None
            return super().output(outs, msg, display_id, cell_index)

        def execute_cell(self, cell, cell_index, **kwargs):
            seconds = time.monotonic() - started
            _progress(f"{name}  cell {cell_index + 1}/{len(self.nb.cells)}  {seconds:.0f} s ")
            return super().execute_cell(cell, cell_index, **kwargs)

    class StageEngine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **kwargs):
            running.append(nb_man.nb)
            quiet = ["--IPKernelApp.log_level=50", f"--IPKernelApp.exec_lines={WATCH}"]
            client = StageClient(nb_man, kernel_name=kernel_name, startup_timeout=120, extra_arguments=quiet)
            return client.execute()

    papermill_engines.register("ringbound", StageEngine)
    where = f"{name}: notebooks/{name}.ipynb"
    options = {"engine_name": "ringbound", "kernel_name": "python3", "language": "python", "progress_bar": False}
    try:
        papermill.execute_notebook(str(path), None, given, cwd=str(cwd), **options)
    except PapermillExecutionError as error:
        said = f"{error.ename}: {error.evalue or _failing_line(error.traceback)}"
        raise CellError(
            f"{where}, cell {_number(running[0], error)}: {one_line(Exception(said))}", running[0]
        ) from None
    except DeadKernelError:
        raise CellError(f"{where}: the kernel was killed, perhaps for want of memory; run again", running[0]) from None
    finally:
        _progress(" " * 60)
    return running[0]


def _number(nb: nbformat.NotebookNode, error: Any) -> int:
    """Return the place of the cell that failed in the notebook as written, from 1: papermill has put in others."""
    tags = [cell.metadata.get("tags", []) for cell in nb.cells]
    before = [t for t in tags if "papermill-error-cell-tag" not in t][: error.cell_index + 1]
    return sum("injected-parameters" not in t for t in before)


def _progress(text: str) -> None:
    """Show where a long stage is, on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}\r")
        sys.stderr.flush()


def _failing_line(traceback: list[str]) -> str:
    """Return the line that IPython's traceback points at, for errors without a message, like a bare assert."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback))
    pointed = re.findall(r"^-+> *\d+ (.*)$", plain, flags=re.M)
    return pointed[-1].strip() if pointed else "no message"


def normalise(nb: nbformat.NotebookNode, folders: Sequence[Path] = ()) -> None:
    """Remove in place all that changes from run to run: papermill's records, ids, addresses, split streams.

    Paths below one of `folders` become relative to it: where a workspace lies is no evidence.
    """
    below = "|".join(re.escape(str(folder)) for folder in folders)

    def plain(text: str) -> str:
        return re.sub(rf"(?:{below})(/?)", lambda match: "" if match[1] else ".", text) if below else text

    nb.metadata.pop("papermill", None)
    nb.metadata.pop("language_info", None)  # names the version of Python
    for position, cell in enumerate(nb.cells):
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.id is None or "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = f"injected-{position}"
        if cell.cell_type != "code":
            continue
        merged: list[nbformat.NotebookNode] = []
        for output in cell.outputs:
            if merged and output.output_type == "stream" == merged[-1].output_type and output.name == merged[-1].name:
                merged[-1].text += output.text
            else:
                merged.append(output)
        for output in merged:
            if "text" in output:
                output.text = plain(output.text)
            data = output.get("data", {})
            for kind in data.keys() & {"text/plain", "text/html", "text/markdown"}:
                data[kind] = plain(data[kind])
            if "text/plain" in data:
                data["text/plain"] = re.sub(r"0x[0-9a-f]{6,}", "0x…", data["text/plain"])
        cell.outputs = merged


def render(nb: nbformat.NotebookNode, title: str, *, code: bool = False) -> str:
    """Return the notebook as one self-contained HTML page that loads nothing from the network.

    Code is hidden behind a button, unless `code`: whoever reads a report reads prose, tables and pictures.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(require_js_url="", jquery_url="", mathjax_url="", html_manager_semver_range="")
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    page, _ = exporter.from_notebook_node(nb, resources={"metadata": {"name": title}})
    # What nbconvert still loads from elsewhere is diagram and formula support, which no stage uses.
    page = re.sub(r'<script[^>]*\bsrc="https?://[^"]*"[^>]*>\s*</script>', "", _without_mermaid(page))
    toggle = TOGGLE.replace("CHECKED", "checked" if code else "")
    return re.sub(r"(<body[^>]*>)", lambda match: match[1] + toggle, page, count=1)


TOGGLE = """
<style>
  #show-code { position: fixed; top: 8px; right: 12px; z-index: 9; background: #fff; border: 1px solid #ccc;
    border-radius: 4px; padding: 2px 8px; font: 13px sans-serif; }
  body:not(:has(#code:checked)) .jp-CodeCell .jp-Cell-inputWrapper { display: none; }
</style>
<label id="show-code"><input type="checkbox" id="code" CHECKED> code</label>
"""
"""A box that shows and hides code, without a script."""


def _without_mermaid(page: str) -> str:
    return re.sub(
        r'<script type="module">(?:(?!</script>).)*?https?://(?:(?!</script>).)*?</script>', "", page, flags=re.S
    )
