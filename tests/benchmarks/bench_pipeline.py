"""The pipeline through notebooks against its code in one plain script; a repro with nothing to do. Printed, never judged."""

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import pytest

STAGES = ["ingest", "validate", "features", "problem", "tune", "evaluate", "package"]
RUNS = 3


@pytest.fixture(scope="module")
def ready(root) -> Path:
    if not (root / "data/bento").exists():
        pytest.skip('no data/bento; run "make run" first')
    return root


def timed(command: list[str], root: Path, **environment: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=root, env=os.environ | environment, check=True, capture_output=True)
    return time.perf_counter() - started


def plain_script(root: Path, out: Path) -> str:
    """Return one script that runs every notebook's code, with params.yaml's values, in one process."""
    from ringbound.notebooks import source as notebooks
    from ringbound.workspace.paths import load_yaml

    params = load_yaml(root / "params.yaml")
    lines = ["import matplotlib, runpy", "matplotlib.use('agg')"]
    for stage in STAGES:
        cells = [c for c in notebooks.read(root / f"notebooks/{stage}.ipynb")["cells"] if c["cell_type"] == "code"]
        code = []
        for cell in cells:
            code.append(cell["source"])
            if "parameters" in cell["metadata"].get("tags", []):
                code += [f"{name} = {value!r}" for name, value in params.get(stage, {}).items()]
        (out / f"{stage}.py").write_text("\n\n".join(code) + "\n")
        lines.append(f"runpy.run_path({str(out / stage)!r} + '.py', run_name='__main__')")
    script = out / "plain.py"
    script.write_text("\n".join(lines) + "\n")
    return str(script)


def test_notebooks_against_a_plain_script(ready, tmp_path):
    script = plain_script(ready, tmp_path)
    seconds: dict[str, list[float]] = {"notebooks": [], "plain script": []}
    environment = {"PYTHONPATH": str(ready / "src"), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TZ": "UTC"}
    for _ in range(RUNS):
        started = time.perf_counter()
        for stage in STAGES:
            timed([sys.executable, "-m", "ringbound", "stage", stage], ready)
        seconds["notebooks"].append(time.perf_counter() - started)
        staging = {"RINGBOUND_STAGING": str(tmp_path / "staging")}
        seconds["plain script"].append(timed([sys.executable, script], ready, **environment, **staging))
    ratio = median(n / p for n, p in zip(*seconds.values(), strict=True))
    print(f"\nall stages, medians of {RUNS}: " + ", ".join(f"{k} {median(v):.1f} s" for k, v in seconds.items()))
    print(f"notebooks / plain script: {ratio:.2f}")


def test_repro_with_nothing_to_do(ready):
    dvc = str(Path(sys.executable).with_name("dvc"))
    timed([dvc, "repro"], ready)
    print(f"\ndvc repro, nothing changed: {median(timed([dvc, 'repro'], ready) for _ in range(5)):.2f} s")
