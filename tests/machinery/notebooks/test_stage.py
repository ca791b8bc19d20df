import hashlib
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from ringbound.errors import NotebookError
from ringbound.notebooks.stage import StageCost, checked_parameters
from ringbound.testing.notebooks import code_cell, write_notebook

PARAMETERS = code_cell("number = 1", "parameters")
WRITE = code_cell("from ringbound import workspace\nworkspace.stage_output('data/out.txt').write_text(str(number))")


def test_stage_gets_its_section_of_params(small):
    small.stage(PARAMETERS, WRITE)
    assert small.run().returncode == 0
    assert (small.root / "data/out.txt").read_text() == "3"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"number": 1, "nubmer": 2}, "unknown ['nubmer']"),
        ({}, "missing ['number']"),
        ({"number": "1"}, "expected number of type int"),
        ({"number": True}, "got True (bool)"),
        ({"number": 1.5}, "got 1.5 (float)"),
        (None, "found no such section"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(given, says):
    with pytest.raises(NotebookError) as error:
        checked_parameters("one", given, {"number": 1})
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("given", "default", "says"),
    [
        (["a", None], [1, 2], "expected x[0] of type int (like 1); got 'a' (str)"),
        ([1, None], [1, 2], "expected x[1] of type int"),
        ([True], [1], "got True (bool)"),
        ({"a": {"b": "two", "c": 3}}, {"a": {"b": 1}}, "expected x.a with the names ['b']; got ['b', 'c']"),
        ({"a": {"b": "two"}}, {"a": {"b": 1}}, "expected x.a.b of type int (like 1); got 'two' (str)"),
        ({"a": [{"b": 1.5}]}, {"a": [{"b": 1}]}, "expected x.a[0].b of type int"),
        ([[1], ["x"]], [[1, 2]], "expected x[1][0] of type int"),
    ],
)
def test_parameters_are_checked_to_the_bottom(given, default, says):
    with pytest.raises(NotebookError) as error:
        checked_parameters("one", {"x": given}, {"x": default})
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("given", "default"),
    [([1, 2, 3], [1]), ([], [1]), (["a"], []), ({"a": [1, 2.5]}, {"a": [0.5]}), ([1, "a"], ["b", 2]), ({"any": 1}, {})],
)
def test_parameters_like_their_defaults_pass(given, default):
    assert checked_parameters("one", {"x": given}, {"x": default}) == {"x": given}


def test_whole_number_is_accepted_for_a_float():
    assert checked_parameters("one", {"share": 1}, {"share": 0.5}) == {"share": 1}


def test_params_are_read_in_dvcs_dialect(small):
    (small.root / "params.yaml").write_text("one:\n  number: 3\n  share: 1e-3\n  word: no\n")
    cell = code_cell("number = 1\nshare = 0.5\nword = 'yes'", "parameters")
    report = code_cell(
        "from ringbound import workspace\nworkspace.stage_output('data/out.txt').write_text(f'{share} {word}')"
    )
    small.stage(cell, report)
    assert small.run().returncode == 0
    assert (small.root / "data/out.txt").read_text() == "0.001 no"


def test_notebook_without_parameters_cell_is_refused(small):
    small.stage(code_cell("number = 1"), WRITE)
    result = small.run()
    assert result.returncode == 1
    assert "expected a code cell tagged `parameters`, since params.yaml has a section one; found none" in result.stderr
    assert result.stderr.count("\n") == 1


def test_module_out_of_step_with_its_notebook_is_refused(small):
    exported = [code_cell("#| default_exp one"), code_cell("#| export\ndef f():\n    return 1")]
    small.stage(*exported, PARAMETERS, WRITE)
    write_notebook(
        small.root / "notebooks/one.ipynb",
        exported[0],
        code_cell("#| export\ndef f():\n    return 2"),
        PARAMETERS,
        WRITE,
    )
    result = small.run()
    assert result.returncode == 1
    assert 'tiny.one is out of step with notebooks/one.ipynb; run "ringbound notebooks export"' in result.stderr


def test_reports_are_the_same_bytes_run_to_run(small):
    noisy = code_cell(
        "import sys, time\nprint('a'); sys.stdout.flush(); time.sleep(0.05); print('b')\n"
        "from ringbound import workspace\nprint(workspace.stage_output('data/out.txt'), workspace.root())\nobject()"
    )
    small.stage(PARAMETERS, noisy, WRITE)
    reports = []
    for _ in range(2):
        assert small.run().returncode == 0
        reports.append([(small.root / f"data/reports/one.{kind}").read_bytes() for kind in ("ipynb", "html")])
    assert reports[0] == reports[1]
    assert str(small.root).encode() not in reports[0][0]


def test_standard_error_goes_to_the_terminal_not_into_the_report(small):
    small.stage(PARAMETERS, code_cell("import sys\nprint('progress', file=sys.stderr)\nprint('evidence')"), WRITE)
    result = small.run()
    report = (small.root / "data/reports/one.ipynb").read_text()
    assert "progress" in result.stderr
    assert "evidence\\n" in report
    assert "progress\\n" not in report


def test_html_report_loads_nothing_from_elsewhere(small):
    small.stage(PARAMETERS, code_cell("from IPython.display import HTML\nHTML('<b>bold</b>')"), WRITE)
    assert small.run().returncode == 0
    page = (small.root / "data/reports/one.html").read_text()
    loads = [part.split('"')[0] for mark in ('src="', '<link rel="stylesheet" href="') for part in page.split(mark)[1:]]
    assert not [address for address in loads if address.startswith(("http", "//"))]
    assert "import(" not in page
    assert "https://cdn" not in page


def test_failing_cell_is_one_line_and_leaves_the_outputs(small):
    small.stage(PARAMETERS, WRITE)
    assert small.run().returncode == 0
    small.stage(PARAMETERS, WRITE, code_cell("{}['missing']"))
    result = small.run()
    assert result.returncode == 1
    assert "notebooks/one.ipynb, cell 3: KeyError: 'missing'" in result.stderr
    assert result.stderr.count("\n") == 1
    assert (small.root / "data/out.txt").read_text() == "3"
    marked = (small.root / "data/failed/one.ipynb").read_text()
    assert "An Exception was encountered" in marked
    assert (small.root / "data/failed/one.html").exists()
    small.stage(PARAMETERS, WRITE)
    assert small.run().returncode == 0
    assert not (small.root / "data/failed/one.html").exists()


def test_bare_assert_is_named_by_its_line(small):
    small.stage(PARAMETERS, WRITE, code_cell("assert number == 4"))
    assert "AssertionError: assert number == 4" in small.run().stderr


def test_outputs_that_dvc_does_not_list_are_refused(small):
    extra = code_cell("workspace.stage_output('data/extra.txt').write_text('x')")
    small.stage(PARAMETERS, WRITE, extra)
    result = small.run()
    assert result.returncode == 1
    assert "not listed ['data/extra.txt']" in result.stderr
    assert not (small.root / "data/out.txt").exists()


def test_full_disk_is_one_line_and_leaves_the_outputs(small):
    small.stage(PARAMETERS, WRITE)
    assert small.run().returncode == 0
    before = (small.root / "data/out.txt").read_bytes()
    # A write past RLIMIT_FSIZE fails as a write to a full disk does: in the middle, with an OSError.
    limit = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"
    )
    small.stage(
        PARAMETERS, code_cell(limit), WRITE, code_cell("workspace.stage_output('data/out.txt').write_text('x' * 9999)")
    )
    result = small.run()
    assert result.returncode == 1
    assert "OSError: [Errno 27] File too large" in result.stderr
    assert result.stderr.count("\n") == 1
    assert (small.root / "data/out.txt").read_bytes() == before


def test_killed_stage_leaves_the_outputs_and_the_next_run_completes(small):
    small.stage(PARAMETERS, WRITE)
    assert small.run().returncode == 0
    undisturbed = (small.root / "data/reports/one.ipynb").read_bytes()
    (small.root / "data/out.txt").write_text("before")
    small.stage(PARAMETERS, WRITE, code_cell("import time\ntime.sleep(60)"))
    process = subprocess.Popen(
        [sys.executable, "-m", "ringbound", "stage", "one"],
        cwd=small.root,
        env=small.environment,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(small.root.glob("data/.staging/one.*/outputs/data/out.txt")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (small.root / "data/out.txt").read_text() == "before"
    small.stage(PARAMETERS, WRITE)
    assert small.run().returncode == 0
    assert (small.root / "data/out.txt").read_text() == "3"
    assert (small.root / "data/reports/one.ipynb").read_bytes() == undisturbed


def test_killed_kernel_is_one_line(small):
    small.stage(PARAMETERS, code_cell("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"), WRITE)
    result = small.run()
    assert result.returncode == 1
    assert "the kernel was killed" in result.stderr


def test_wrong_use_is_one_line_and_exit_code_2(small):
    result = small.ringbound("stage")
    assert result.returncode == 2
    assert "Missing argument 'name'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_in_jupyterlab_outputs_go_to_scratch(small, monkeypatch):
    from ringbound import workspace

    monkeypatch.chdir(small.root)
    monkeypatch.delenv("RINGBOUND_STAGING", raising=False)
    assert workspace.stage_output("data/out.txt") == (small.root / "data/scratch/data/out.txt").resolve()


def read_and_write(read: str) -> list[dict]:
    """Return the cells of a stage that reads something of the workspace before it writes."""
    return [PARAMETERS, code_cell(f"import pathlib, os\n{read}"), WRITE]


READS = {
    "with Python": "pathlib.Path('../data/raw/a.txt').read_text()",
    "by its whole path": "pathlib.Path(os.environ['RINGBOUND_REAL_WORKSPACE'], 'data/raw/a.txt').read_text()",
    "with Arrow": "import pyarrow.csv; pyarrow.csv.read_csv('../data/raw/a.txt')",
    "with pandas": "import pandas; pandas.read_csv('../data/raw/a.txt')",
    "with ringbound": "from ringbound import workspace; workspace.stage_input('data/raw/a.txt').read_text()",
}


@pytest.mark.parametrize("how", READS)
def test_an_undeclared_file_fails_the_stage_with_file_and_cell(small, how):
    (small.root / "data/raw").mkdir(parents=True)
    (small.root / "data/raw/a.txt").write_text("a,b\n1,2\n")
    small.stage(*read_and_write(READS[how]))
    result = small.run()
    assert result.returncode == 1
    assert "notebooks/one.ipynb, cell 2: " in result.stderr
    assert "data/raw/a.txt" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (small.root / "data/out.txt").exists()
    small.declare(deps="data/raw")
    assert small.run().returncode == 0


def test_a_file_that_is_undeclared_and_not_there_is_told_apart(small):
    small.stage(*read_and_write("pathlib.Path('../data/raw/none.txt').read_text()"))
    result = small.run()
    assert "No such file" in result.stderr
    assert "does not declare" not in result.stderr


def test_what_a_run_took_is_written_down_with_what_it_made(small):
    small.stage(PARAMETERS, code_cell("sum(x * x for x in range(3_000_000))"), WRITE)
    assert small.run().returncode == 0
    cost = StageCost.read(small.root / "data/ops/costs/one.json")
    assert cost.of == hashlib.sha256((small.root / "data/reports/one.ipynb").read_bytes()).hexdigest()
    assert 0 < cost.cpu_seconds < 60
    assert cost.seconds > 0
    assert cost.peak > 10_000_000
    made = [file for file in (small.root / "data").rglob("*") if file.suffix in (".txt", ".ipynb", ".html")]
    assert cost.written == sum(file.stat().st_size for file in made)


def test_reports_hide_code_behind_a_toggle(small):
    small.stage(PARAMETERS, code_cell("secret_of_the_cell = 1\nprint('evidence')"), WRITE)
    assert small.run().returncode == 0
    page = (small.root / "data/reports/one.html").read_text()
    assert re.search(r'<input[^>]*type="checkbox"', page)
    assert "secret_of_the_cell" in page


def test_parameters_that_are_not_python_are_one_line(small):
    write_notebook(small.root / "notebooks/one.ipynb", code_cell("number = = 1", "parameters"), WRITE)
    result = small.run()
    assert result.returncode == 1
    assert "the `parameters` cell is not Python" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "read",
    [
        "import pandas; pandas.read_parquet('../data/raw/a.parquet')",
        "import pyarrow.parquet as pq; pq.ParquetFile('../data/raw/a.parquet')",
        "import sqlite3; sqlite3.connect(pathlib.Path(os.environ['RINGBOUND_REAL_WORKSPACE'], 'data/raw/a.db'))",
        "import sqlite3; sqlite3.connect('file:' + os.environ['RINGBOUND_REAL_WORKSPACE'] + '/data/raw/a.db', uri=True)",
        "pathlib.Path('../data/ops/a.csv').read_text()",
        "import tiny; pathlib.Path(tiny.__file__).parents[2].joinpath('data/raw/a.parquet').read_bytes()",
    ],
)
def test_other_ways_to_an_undeclared_file_fail_too(small, read):
    import sqlite3

    import pandas as pd

    for folder in ("data/raw", "data/ops"):
        (small.root / folder).mkdir(parents=True)
        (small.root / folder / "a.csv").write_text("a\n1\n")
    pd.DataFrame({"a": [1]}).to_parquet(small.root / "data/raw/a.parquet")
    sqlite3.connect(small.root / "data/raw/a.db").close()
    small.stage(*read_and_write(read))
    result = small.run()
    assert result.returncode == 1, "the file was there"
    assert not (small.root / "data/out.txt").exists()


def test_a_folder_and_what_is_in_it_may_both_be_declared(small):
    (small.root / "data/raw/deep").mkdir(parents=True)
    (small.root / "data/raw/a.txt").write_text("a")
    small.declare(deps="data/raw/deep, data/raw")
    small.stage(*read_and_write("pathlib.Path('../data/raw/a.txt').read_text()"))
    assert small.run().returncode == 0


def test_a_notebook_without_a_kernel_runs_as_python(small):
    import json

    small.stage(PARAMETERS, WRITE)
    path = small.root / "notebooks/one.ipynb"
    nb = json.loads(path.read_text())
    path.write_text(json.dumps(nb | {"metadata": {}}))
    assert small.run().returncode == 0


@pytest.mark.parametrize(
    "write",
    [
        "open('../data/raw/a.txt', 'w').write('gone')",
        "open('../data/reports/one.html', 'a').write('junk')",
        "pathlib.Path(os.environ['RINGBOUND_REAL_WORKSPACE'], 'params.yaml').write_text('')",
        "os.remove('../data/raw/a.txt')",
        "os.rename('../data/raw/a.txt', 'b.txt')",
        "os.rename('one.txt', '../data/raw/a.txt')",
        "os.truncate('../data/raw/a.txt', 0)",
        "import shutil; shutil.rmtree(os.path.realpath('../data/raw'))",
    ],
)
def test_a_stage_writes_nothing_but_its_outputs(small, write):
    for name in ("data/raw/a.txt", "data/reports/one.html"):
        (small.root / name).parent.mkdir(parents=True, exist_ok=True)
        (small.root / name).write_text("as it was")
    params = (small.root / "params.yaml").read_text()
    small.declare(deps="data/raw")
    small.stage(*read_and_write(write))
    result = small.run()
    assert result.returncode == 1
    assert "for writing; a stage writes to workspace.stage_output" in result.stderr
    assert (small.root / "data/raw/a.txt").read_text() == "as it was"
    assert (small.root / "data/reports/one.html").read_text() == "as it was"
    assert (small.root / "params.yaml").read_text() == params


def test_a_way_through_a_declared_folder_is_none(small):
    for name in ("data/raw/a.txt", "data/clean/b.txt"):
        (small.root / name).parent.mkdir(parents=True, exist_ok=True)
        (small.root / name).write_text("x")
    small.declare(deps="data/clean")
    small.stage(*read_and_write("open('../data/clean/../raw/a.txt').read()"))
    result = small.run()
    assert result.returncode == 1
    assert "data/raw/a.txt" in result.stderr


def test_of_two_runs_of_a_stage_the_second_is_refused(small):
    small.stage(PARAMETERS, code_cell("import time\ntime.sleep(6)"), WRITE)
    command = [sys.executable, "-m", "ringbound", "stage", "one"]
    first = subprocess.Popen(command, cwd=small.root, env=small.environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(small.root.glob("data/.staging/one.*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    second = small.run()
    assert second.returncode == 1
    assert f"one: expected to run alone; process {first.pid} is running it" in second.stderr
    assert first.wait(60) == 0
    assert (small.root / "data/out.txt").read_text() == "3"


def test_an_input_that_code_other_than_pythons_has_changed_fails_the_stage(small):
    """Arrow writes through a link, and no hook hears of it."""
    (small.root / "data/raw").mkdir(parents=True)
    (small.root / "data/raw/a.txt").write_text("as it was")
    small.declare(deps="data/raw")
    small.stage(*read_and_write("import pyarrow as pa; pa.OSFile('../data/raw/a.txt', 'w').close()"))
    result = small.run()
    assert result.returncode == 1
    assert (
        "one: expected its inputs to stay as they are; changed are ['data/raw/a.txt']; run \"dvc checkout\""
        in result.stderr
    )
    assert result.stderr.count("\n") == 1
    assert not (small.root / "data/out.txt").exists()
