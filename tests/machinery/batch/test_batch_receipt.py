"""A scored file can be made again, elsewhere too, and what was changed since is found."""

import json

import pytest

from ringbound.batch import score as score_module
from ringbound.batch.receipt import BatchReceipt, differs
from ringbound.batch.score import score
from ringbound.errors import BundleError
from ringbound.models.bundle import load_bundle


@pytest.fixture
def bundle(bundle_folder):
    return load_bundle(bundle_folder)


@pytest.fixture
def rows(questions, tmp_path):
    """900 rows, one of them no row and one unfit."""
    file = tmp_path / "rows.jsonl"
    lines = [json.dumps(row) for row in questions[:900]]
    lines[7], lines[8] = "{", json.dumps(questions[8] | {"depot": "North"})
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture
def scored(rows, bundle, events, tmp_path):
    """They, scored, and what makes them again."""
    output = tmp_path / "scored.csv"
    score(str(rows), output, bundle, events=events, explain=True, progress=False)
    again = lambda target, of, **options: score(str(rows), target, of, events=events, progress=False, **options)  # noqa: E731
    return output, lambda bundles=lambda version: bundle: differs(output, [rows], bundles, again)


def test_a_receipt_says_what_a_file_was_made_of(scored, rows, bundle):
    receipt = BatchReceipt.read(BatchReceipt.beside(scored[0]))
    assert (receipt.model, receipt.features, receipt.explain) == (bundle.version, bundle.features.hash, True)
    assert [one.name for one in receipt.inputs] == [rows.name]
    assert (receipt.rows, receipt.errors, receipt.malformed) == (899, 1, 1)
    assert receipt.answers == {"full": 898}


def test_made_again_it_is_identical(scored):
    assert scored[1]() == ("", "")


def test_what_was_changed_is_named(scored, rows, bundle, monkeypatch):
    output, check = scored
    was = output.read_bytes()
    output.write_bytes(was.replace(b",0.", b",0.1", 1))
    assert check()[0] == "output"
    output.write_bytes(was)
    real = type(bundle.full).answer_matrix
    monkeypatch.setattr(type(bundle.full), "answer_matrix", lambda rung, X: real(rung, X) + 1e-15)
    assert check()[0] == "answers"
    monkeypatch.undo()
    about = BatchReceipt.beside(output)
    said = about.read_text()
    about.write_text(said.replace('"full": 898', '"full": 7'))
    assert check()[0] == "receipt"
    about.write_text(said)
    gone = lambda version: _raises(BundleError(f"model {version}: not here"))  # noqa: E731
    assert check(gone) == ("model", f"model {bundle.version}: not here")
    rows.write_text(rows.read_text() + "{\n")
    assert check()[0] == "inputs"


@pytest.mark.parametrize("killed", [False, True])
def test_dask_gives_the_same_bytes(rows, bundle, events, tmp_path, monkeypatch, killed):
    """On a cluster of processes, also where a run that was stopped on this machine goes on there."""
    monkeypatch.setattr("ringbound.batch.readers.CHUNK_BYTES", 30_000)
    whole, elsewhere = tmp_path / "whole.jsonl", tmp_path / "elsewhere.jsonl"
    score(str(rows), whole, bundle, events=events, progress=False)
    if killed:
        monkeypatch.setattr(score_module, "in_turn", _stops_after_three)
        with pytest.raises(KeyboardInterrupt):
            score(str(rows), elsewhere, bundle, events=events, progress=False)
        monkeypatch.undo()
        monkeypatch.setattr("ringbound.batch.readers.CHUNK_BYTES", 30_000)
    done = score(str(rows), elsewhere, bundle, events=events, engine="dask", progress=False)
    assert elsewhere.read_bytes() == whole.read_bytes()
    assert done.resumed == (3 if killed else 0)


def _stops_after_three(submit, tasks, ahead):
    for number, task in enumerate(tasks):
        if number == 3:
            raise KeyboardInterrupt
        submit(task).result()
        yield


def _raises(error):
    raise error
