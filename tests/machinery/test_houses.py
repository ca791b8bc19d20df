"""The whole path of another problem, with no line of the machinery changed: a regression from CSV files to answers."""

import hashlib
import json
import re
import shutil

import pytest

from houses import Houses


@pytest.fixture(scope="module")
def houses(tmp_path_factory) -> Houses:
    found = Houses(tmp_path_factory.mktemp("houses") / "a workspace", "trees")
    found.call("dvc", "repro")
    return found


def test_the_workspace_checks_and_nothing_runs_twice(houses):
    houses.call("ringbound", "notebooks", "check")
    assert "up to date" in houses.call("dvc", "repro").stdout


def test_the_card_speaks_of_houses(houses):
    card = (houses.root / "data/reports/model_card.md").read_text()
    assert "What will this house sell for?" in card
    assert "| mae |" in card
    assert "calibration" not in card


def test_regression_answers_values(houses):
    code = (
        "import json; from pathlib import Path\n"
        "from ringbound.models.bundle import load_bundle; from ringbound.serving.predictor import Predictor\n"
        "from ringbound.features.live import LiveFeatures; from ringbound.store import EventClock, Store\n"
        "rows = [{'district': d, 'area': a, 'built': '1990-01-01T00:00:00Z'}"
        " for d in ('north', 'old town', 'new') for a in (100, 200)]\n"
        "bundle = load_bundle(Path('data/models'))\n"
        "live = LiveFeatures(bundle.features, Store('sqlite:///data/ops/store.db'), clock=EventClock())\n"
        "print(json.dumps(Predictor(bundle, live).predict(rows)))"
    )
    assert "3,000 of them new" not in houses.call("ringbound", "features", "load").stdout  # the last month is enough
    answers = json.loads(houses.python(code))
    assert set(answers[0]) == {
        *("prediction_id", "value", "low", "high", "model_version", "rung", "reason", "recorded", "explanation")
    }
    small, large, old_small, old_large, *unseen = [answer["value"] for answer in answers]
    assert large - small > 200  # by the end the market has risen to 4 a square metre
    assert 60 < old_small - small < 140
    assert 60 < old_large - large < 140
    assert len(unseen) == 2


def test_values_are_watched_too(houses):
    houses.call("ringbound", "cost", "--write")
    said = houses.call("ringbound", "monitor", "--through", "2020-07-01", "--window", "60d").stdout
    assert "all is well" in said
    report = json.loads((houses.root / "data/ops/monitor/report.json").read_text())
    assert (report["rows"], report["answer"], report["loss"]) == (6, "value", "mse")
    assert re.fullmatch(r"€0\.0\d+", report["system"]["cost_of_a_run"])
    assert re.fullmatch(r"€0\.0000\d+", report["system"]["cost_of_these_answers"])
    assert "is guarded" not in said or "not watched" in said
    assert houses.call("ringbound", "alerts").stdout == "no alert is open\n"


def test_batch_gives_the_same_values(houses):
    (houses.root / "rows.csv").write_text(
        "district,area,built,owner,at\n"
        "north,100,1990-01-01T00:00:00Z,ann,2020-06-29T00:00:00Z\nnorth,5,x,bob,2020-06-29T00:00:00Z\n"
        "north,100,1990-01-01T00:00:00Z,eve,2020-07-30T00:00:00Z\n"
    )
    houses.call("ringbound", "score", "--input", "rows.csv", "--output", "scored.csv", "--quiet")
    header, first, second, third = (houses.root / "scored.csv").read_text().splitlines()
    assert header.replace('"', "") == "district,area,built,owner,at,value,low,high,model_version,rung,reason,error"
    assert float(first.split(",")[5]) > 200
    assert "area: expected a finite number at least 10" in second
    assert "at: expected a time up to 2020-07-01T00:00:00Z, as far as events are known" in third
    assert "decision" not in header


def test_its_bento_describes_its_rows_and_is_the_same_bytes_again(houses):
    built = next((houses.root / "data/bento").iterdir())
    before = built.read_bytes()
    houses.call("ringbound", "stage", "package")
    assert next((houses.root / "data/bento").iterdir()).read_bytes() == before
    shutil.unpack_archive(built, houses.root / "opened", "gztar")
    described = (houses.root / "opened/apis/openapi.yaml").read_text()
    assert "square metres" in described
    assert "the predicted value" in described


def test_features_keep_their_promises(houses):
    assert "the same bytes as data/features" in houses.call("ringbound", "features", "compute").stdout
    assert (
        "keep to the declared times of being known"
        in houses.call("ringbound", "features", "prove", "--rows", "200").stdout
    )
    said = houses.call("ringbound", "features", "replay", "--month", "2020-05").stdout
    assert re.search(r"\d+ requests, [\d,]+ values: 0 mismatches", said)


def test_a_regression_is_gated_registered_and_reported(houses):
    """Gates ask the task: nothing about probabilities is asked of a value."""
    for message, seed in (("first", "seed: 1"), ("second", "seed: 2")):
        params = houses.root / "params.yaml"
        params.write_text(re.sub(r"tune: \{seed: \d", f"tune: {{{seed}", params.read_text()))
        houses.call("dvc", "repro")
        said = houses.call("ringbound", "gate").stdout
        assert "mse" in said
        assert "calibration" not in said
        assert re.search(r"skew: 0 mismatches of [\d,]+ values", said)
        houses.call("git", "add", "-A")
        houses.call("git", "commit", "-q", "-m", message)
        houses.call("ringbound", "registry", "register")
    houses.call("ringbound", "registry", "promote", "v1", "prod", "--force", "--reason", "the first")
    assert "house-prices v1" in houses.call("ringbound", "registry", "show", "prod").stdout
    said = houses.call("ringbound", "report", "--base", "HEAD~1", "--head", "HEAD").stdout
    assert "mse" in said or "The model is the same" in said
    for word in ("Calibration", "called yes", "auc", "nan"):
        assert word not in said


def digests(houses: Houses) -> dict[str, str]:
    files = [file for file in (houses.root / "data").rglob("*") if file.is_file() and "ops" not in file.parts]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize(
    ("paths", "stages"),
    [
        # What no stage imports, twice, and prose of what stages import.
        (["release/report.py", "testing/parcels.py", "models/search.py"], []),
        (["models/bundle.py"], ["package"]),  # prose of what travels in the Bento, which is packed again
    ],
)
def test_an_edit_of_prose_runs_no_stage_but_the_one_that_packs_it(houses, paths, stages):
    files = [houses.root / "src/ringbound" / path for path in paths]
    texts, kept = [file.read_text() for file in files], digests(houses)
    for file, text in zip(files, texts, strict=True):
        prose = file.parent.name == "models"
        file.write_text(text + ("\n# words\n" if prose else "\nNOTHING = 0\n"))
    try:
        assert houses.repro() == ["code", *stages]
        if not stages:
            assert digests(houses) == kept
            houses.call("ringbound", "stage", "package")  # the Bento is built anew, and has the same bytes
            assert digests(houses) == kept
    finally:
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        houses.call("dvc", "repro")


def test_an_edit_of_the_kernel_concerns_features_and_what_follows(houses):
    file = houses.root / "src/ringbound/features/asof.py"
    text = file.read_text()
    assert text.count("def count(") == 1
    file.write_text(text.replace("def count(", "NOTHING = 0\n\n\ndef count("))
    try:
        houses.call("dvc", "repro", "code")
        concerned = set(json.loads(houses.call("dvc", "status", "--json").stdout))
        assert {"features", "tune", "evaluate", "package"} == concerned - {"code"}
    finally:
        file.write_text(text)
        houses.repro()


@pytest.mark.parametrize("kind", ["trees", "linear"])
def test_the_ladder_is_a_ladder_for_every_kind_of_model(houses, kind):
    """Each kept rung loses less than the one below it, on months no rung has seen."""
    params = houses.root / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("kind: trees", f"kind: {kind}"))
    assert ("tune" in houses.repro()) == (before != params.read_text())
    ladder = json.loads((houses.root / "data/reports/ladder.json").read_text())
    losses = [rung["mse"]["value"] for rung in ladder["rungs"].values()]
    assert [*ladder["rungs"]][:1] + [*ladder["rungs"]][-1:] == ["full", "default"]
    assert losses == sorted(losses)
    assert losses[0] < losses[-1] / 4
    said = houses.call("ringbound", "ladder", "--rows", "20").stdout
    assert re.search(r"^ *full +\d+ +[\d.]+ +[\d.]+$", said, flags=re.M), said
    assert "nan" not in said
