import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from ringbound.batch import readers
from ringbound.batch import score as batch
from ringbound.batch.score import score
from ringbound.errors import InputError
from ringbound.models.bundle import load_bundle
from ringbound.serving.predictor import Predictor
from ringbound.serving.request import columns_from_rows, validate_rows


@pytest.fixture
def bundle(bundle_folder):
    return load_bundle(bundle_folder)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    """Several chunks for few rows."""
    monkeypatch.setattr(readers, "CHUNK_ROWS", 300)
    monkeypatch.setattr(readers, "CHUNK_BYTES", 20_000)


def write(questions, file):
    """Write requests as a file of the format its suffix says."""
    frame = pd.DataFrame(questions)
    if file.suffix == ".csv":
        frame.to_csv(file, index=False)
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in questions))
    else:
        for name in ("promised", "at"):
            frame[name] = pd.to_datetime(frame[name])
        frame.to_parquet(file)
    return file


def read(file) -> list[dict]:
    """Return a scored file's rows; numbers keep every bit."""
    if file.suffix == ".parquet":
        return pq.read_table(file).to_pylist()
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text().splitlines()]
    return pyarrow.csv.read_csv(file).to_pylist()


@pytest.mark.parametrize("given", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("wanted", [".csv", ".jsonl", ".parquet"])
def test_every_format_has_the_bits_of_online(bundle, events, live, questions, tmp_path, given, wanted):
    output = tmp_path / f"scored{wanted}"
    done = score(str(write(questions, tmp_path / f"rows{given}")), output, bundle, events=events, progress=False)
    assert (done.rows, done.errors, done.malformed) == (2000, 0, 0)
    online = [
        a["probability"]
        for start in (0, 1000)
        for a in Predictor(bundle, live).predict(questions[start : start + 1000])
    ]
    rows = read(output)
    assert [row["probability"] for row in rows] == online
    assert [float(row["route"]) for row in rows] == [q["route"] for q in questions]
    assert {str(row["decision"]).lower() for row in rows} == {"true", "false"}
    assert not (tmp_path / f"scored{wanted}.parts").exists()


def test_bad_rows_stay_in_place_with_their_reason(bundle, events, questions, tmp_path):
    spoilt = [dict(q) for q in questions]
    spoilt[3]["depot"] = "North"
    spoilt[1500]["promised"] = "soon"
    done = score(
        str(write(spoilt, tmp_path / "rows.csv")), tmp_path / "scored.csv", bundle, events=events, progress=False
    )
    assert done.errors == 2
    rows = read(tmp_path / "scored.csv")
    assert len(rows) == 2000
    assert rows[3]["error"].startswith("depot: expected text matching")
    assert rows[3]["depot"] == "North"
    assert rows[1500]["probability"] is None or np.isnan(rows[1500]["probability"])


def test_lines_that_are_no_rows_are_kept_aside(bundle, events, questions, tmp_path):
    file = write(questions[:10], tmp_path / "rows.csv")
    file.write_text(file.read_text() + "north,too,few\n")
    done = score(str(file), tmp_path / "scored.csv", bundle, events=events, progress=False)
    assert (done.rows, done.malformed) == (10, 1)
    assert (tmp_path / "scored.csv.malformed").read_text() == "north,too,few\n"


def test_glob_is_one_output_in_order(bundle, events, questions, tmp_path):
    write(questions[:500], tmp_path / "b.csv")
    write(questions[500:900], tmp_path / "a.csv")
    assert score(str(tmp_path / "?.csv"), tmp_path / "scored.csv", bundle, events=events, progress=False).rows == 900
    routes = [row["route"] for row in read(tmp_path / "scored.csv")]
    assert routes == [q["route"] for q in questions[500:900] + questions[:500]]


def test_a_failed_run_resumes_and_gives_the_same_bytes(bundle, events, questions, tmp_path, monkeypatch):
    file = write(questions, tmp_path / "rows.csv")
    score(str(file), tmp_path / "whole.csv", bundle, events=events, progress=False)
    real, calls = batch.write_part, []

    def dying(*arguments, **options):
        calls.append(1)
        if len(calls) >= 4:
            raise OSError(28, "No space left on device")
        return real(*arguments, **options)

    monkeypatch.setattr(batch, "write_part", dying)
    with pytest.raises((OSError, InputError)):
        score(str(file), tmp_path / "scored.csv", bundle, events=events, progress=False)
    assert not (tmp_path / "scored.csv").exists()
    monkeypatch.setattr(batch, "write_part", real)
    done = score(str(file), tmp_path / "scored.csv", bundle, events=events, progress=False)
    assert done.resumed == 3
    assert done.rows == 2000
    assert (tmp_path / "scored.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_parts_of_other_input_are_not_taken_over(bundle, events, questions, tmp_path, monkeypatch):
    file = write(questions, tmp_path / "rows.csv")
    monkeypatch.setattr(batch, "join", _disk_is_full)
    with pytest.raises(OSError, match="No space"):
        score(str(file), tmp_path / "scored.csv", bundle, events=events, progress=False)
    monkeypatch.undo()
    write(questions[::-1], file)
    assert score(str(file), tmp_path / "scored.csv", bundle, events=events, progress=False).resumed == 0


@pytest.mark.parametrize("wanted", [".csv", ".parquet"])
def test_kill_minus_nine_resumes_and_gives_the_same_bytes(bundle_folder, events, questions, tmp_path, wanted):
    """The real command, killed for real in the middle of its work."""
    big = questions * 80
    file = write(big, tmp_path / "rows.csv")

    def command(output):
        return [sys.executable, "-m", "ringbound", "score", "--input", str(file), "--output", str(output),
                "--bundle", str(bundle_folder), "--events", str(events.folder), "--quiet"]  # fmt: skip

    subprocess.run(command(tmp_path / f"whole{wanted}"), check=True, capture_output=True)
    output = tmp_path / f"scored{wanted}"
    process = subprocess.Popen(command(output))
    parts = tmp_path / f"scored{wanted}.parts"
    deadline = time.monotonic() + 60
    while len(list(parts.glob("[0-9]*.json"))) < 1:
        assert time.monotonic() < deadline
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not output.exists()
    again = subprocess.run(command(output), check=True, capture_output=True, text=True)
    assert "parts taken over" in again.stdout
    assert output.read_bytes() == (tmp_path / f"whole{wanted}").read_bytes()
    assert not parts.exists()


def test_a_slow_disk_loses_no_row(tmp_path):
    """pyarrow reads ahead in a thread of its own, also after its reader was left."""

    class SlowPath(type(Path())):
        def open(self, *_):
            return SlowFile(str(self))

    class SlowFile(io.FileIO):
        def read(self, size=-1):
            time.sleep(0.002)
            return super().read(size)

    file = SlowPath(tmp_path / "rows.csv")
    pd.DataFrame({"a": np.arange(2000), "b": "x" * 60}).to_csv(tmp_path / "rows.csv", index=False)
    for _ in range(20):
        read = [number for chunk in readers.read_chunks([file]) for number in chunk.rows["a"].to_pylist()]
        assert read == [str(number) for number in range(2000)]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("rows.csv", b"", "the file is empty"),
        ("rows.csv", b"depot,courier\nnorth,c1\n", "missing ['route', 'weight_kg', 'promised', 'at']"),
        ("rows.parquet", b"PAR1", "cannot be read whole"),
        ("rows.txt", b"x", "expected one of .csv, .jsonl, .parquet; got '.txt'"),
        (
            "rows.csv",
            b"depot,courier,route,weight_kg,promised,at\n\xff\xfe,c1,1,2,a,b\n",
            "cannot be read",
        ),
    ],
)
def test_unreadable_input_is_one_clear_line(bundle, events, tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        score(str(tmp_path / name), tmp_path / "scored.csv", bundle, events=events, progress=False)
    assert says in str(error.value)
    assert not (tmp_path / "scored.csv").exists()


def test_output_over_an_input_is_refused(bundle, events, questions, tmp_path):
    file = write(questions[:3], tmp_path / "rows.csv")
    before = file.read_bytes()
    with pytest.raises(InputError, match="that is not an input"):
        score(str(file), file, bundle, events=events, progress=False)
    assert file.read_bytes() == before


def test_a_scored_file_is_refused_in_one_line(bundle, events, questions, tmp_path):
    first, again = write(questions, tmp_path / "in.csv"), tmp_path / "scored.csv"
    score(str(first), again, bundle, events=events, progress=False)
    with pytest.raises(InputError, match=r"expected rows without the columns that scoring adds; got \['probability'"):
        score(str(again), tmp_path / "twice.parquet", bundle, events=events, progress=False)
    assert not list(tmp_path.glob("twice*")), "nothing is left behind"


def test_a_scored_file_is_scored_again_under_other_names(bundle, events, questions, tmp_path):
    first, scored = write(questions[:50], tmp_path / "in.parquet"), tmp_path / "scored.parquet"
    score(str(first), scored, bundle, events=events, progress=False)
    again = tmp_path / "again.parquet"
    score(str(scored), again, bundle, events=events, prefix="new_", explain=True, progress=False)
    table = pq.read_table(again).to_pandas()
    assert table["new_probability"].tolist() == table["probability"].tolist()
    assert [name for name in table if name.startswith("new_")] == [
        "new_probability", "new_decision", "new_model_version", "new_rung", "new_reason", "new_explanation", "new_error",
    ]  # fmt: skip


def test_a_row_without_news_gets_the_rung_below_as_online(bundle, events, questions, tmp_path, monkeypatch):
    """A source that is silent is told, row by row; the answer is the reduced model's."""
    late = [question | {"at": "2020-03-30T00:30:00Z"} for question in questions[:20]]
    file, output = write([*questions[-20:], *late], tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    sources = {n: replace(s, stale="1h") if n == "pickups" else s for n, s in bundle.features.sources.items()}
    monkeypatch.setattr(bundle.features, "sources", sources)
    done = score(str(file), output, bundle, events=events, explain=True, progress=False)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert (done.errors, done.lower) == (0, 20)
    assert [(row["rung"], row["reason"]) for row in rows[:20]] == [("full", None)] * 20
    assert [(row["rung"], row["reason"]) for row in rows[20:]] == [("reduced", "stale: pickups")] * 20
    given = [{name: value for name, value in row.items() if name in questions[0]} for row in rows[20:]]
    columns = columns_from_rows(validate_rows(bundle.features, given), bundle.features.request)
    values = bundle.features.compute(columns, bundle.references, names=bundle.features.plain)
    assert [row["probability"] for row in rows[20:]] == bundle.reduced.answer(values).tolist()
    for row in rows:
        told = json.loads(row["explanation"])
        total = told["base"] + told["others"] + sum(one["effect"] for one in told["effects"])
        assert total == pytest.approx(told["margin"])


def test_lines_put_aside_by_an_earlier_run_do_not_outlive_it(bundle, events, questions, tmp_path):
    given, output = write(questions[:3], tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    whole = given.read_text()
    given.write_text(whole + "no row\n")
    assert score(str(given), output, bundle, events=events, progress=False).malformed == 1
    aside = tmp_path / "out.jsonl.malformed"
    assert aside.read_text() == "no row\n"
    given.write_text(whole)
    assert score(str(given), output, bundle, events=events, progress=False).malformed == 0
    assert not aside.exists()


def test_a_name_that_first_comes_late_is_not_lost_and_half_a_surrogate_is_that_rows_error(
    bundle, events, questions, tmp_path
):
    plain = [
        {name: value for name, value in row.items() if name != "courier"} | {"note": "x" * 50} for row in questions
    ]
    rows = [*plain, questions[0] | {"courier": "c07"}, questions[0] | {"depot": "\ud83d"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    score(str(tmp_path / "in.jsonl"), tmp_path / "out.jsonl", bundle, events=events, progress=False)
    *_, late, odd = read(tmp_path / "out.jsonl")
    assert late["courier"] == "c07"
    assert late["error"] is None
    assert "depot: expected text" in odd["error"]


@pytest.mark.parametrize("wanted", [".csv", ".jsonl", ".parquet"])
def test_columns_of_other_types_come_out_and_are_refused_only_where_they_are_asked_for(
    bundle, events, questions, tmp_path, wanted
):
    plain = pd.DataFrame(questions[:2])
    plain["more"] = [{"a": [1]}, {"a": [2]}]
    plain["raw"] = [b"caf\xe9", None]
    plain.assign(depot=[["north"], ["hill"]]).to_parquet(tmp_path / "in.parquet")
    done = score(str(tmp_path / "in.parquet"), tmp_path / f"out{wanted}", bundle, events=events, progress=False)
    assert (done.rows, done.errors) == (2, 2)
    assert "depot: expected text" in read(tmp_path / f"out{wanted}")[0]["error"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_two_extra_columns_of_one_name_are_refused(bundle, events, questions, tmp_path, suffix):
    file = tmp_path / "rows.csv"
    pd.DataFrame(questions[:2]).assign(q="first", r="second").rename(columns={"r": "q"}).to_csv(file, index=False)
    with pytest.raises(InputError, match=r"expected each column once; got \['q'\] several times"):
        score(str(file), tmp_path / f"out{suffix}", bundle, events=events, progress=False)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_extra_columns_of_odd_types_end_no_run(bundle, events, questions, tmp_path, suffix):
    frame = pd.DataFrame(questions[:2])
    for name in ("promised", "at"):
        frame[name] = pd.to_datetime(frame[name])
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.append_column("far", pa.array([10**8, 5], pa.int32()).cast(pa.date32()))
    table = table.append_column("later", pa.array([2**62, 5]).cast(pa.timestamp("us")))
    table = table.append_column("two", pa.array([b"\xff\xfe", b"ab"], pa.binary(2)))
    pq.write_table(table, tmp_path / "rows.parquet")
    output = tmp_path / f"out{suffix}"
    assert score(str(tmp_path / "rows.parquet"), output, bundle, events=events, progress=False).errors == 0
    assert output.stat().st_size


@pytest.mark.parametrize("content", [b'[{"depot": "north"}]', b"no\nrows\n"])
def test_lines_that_are_all_no_rows_are_said(bundle, events, tmp_path, content):
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(InputError, match="expected a JSON object on each line, in UTF-8; no line is one"):
        score(str(tmp_path / "rows.jsonl"), tmp_path / "out.csv", bundle, events=events, progress=False)


def test_a_header_after_empty_lines_and_with_a_break_in_it_is_read(bundle, events, questions, tmp_path):
    file = tmp_path / "rows.csv"
    pd.DataFrame(questions[:2]).assign(**{"a\nnote": "x"}).to_csv(file, index=False)
    file.write_text("\n\n" + file.read_text())
    assert score(str(file), tmp_path / "out.jsonl", bundle, events=events, progress=False).errors == 0


def test_lines_that_are_no_rows_before_the_first_that_is_one_are_kept(bundle, events, questions, tmp_path):
    """More of them than a chunk holds, and then a row."""
    bad = [f"no row {number} {'x' * 100}" for number in range(1000)]
    (tmp_path / "rows.jsonl").write_text("\n".join([*bad, json.dumps(questions[0])]) + "\n")
    done = score(str(tmp_path / "rows.jsonl"), tmp_path / "out.jsonl", bundle, events=events, progress=False)
    assert (done.rows, done.malformed) == (1, 1000)
    assert (tmp_path / "out.jsonl.malformed").read_text().splitlines() == bad


def test_half_a_surrogate_pair_in_a_name_is_written_as_it_would_be_in_a_value(bundle, events, questions, tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps(questions[0])[:-1] + ', "\\ud800x": "\\ud800"}\n')
    assert (
        score(str(tmp_path / "rows.jsonl"), tmp_path / "out.jsonl", bundle, events=events, progress=False).errors == 0
    )
    assert read(tmp_path / "out.jsonl")[0]["\\ud800x"] == "\\ud800"


def _disk_is_full(*_):
    raise OSError(28, "No space left on device")
