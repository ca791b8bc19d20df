import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ringbound.errors import BundleError
from ringbound.features.frames import columns_of
from ringbound.models.bundle import load_bundle, write_bundle
from ringbound.problem.classification import Classification
from ringbound.problem.task import Costs
from ringbound.testing.parcels import ENTRY, PROBLEM

SRC = Path(__file__).resolve().parents[3] / "src"


def test_bundle_answers_with_finite_probabilities(bundle_folder, parcels, windowed):
    answers = load_bundle(bundle_folder).predict(columns_of(parcels), windowed)
    assert ((answers > 0) & (answers < 1)).all()
    assert answers.std() > 0.01


def test_bundle_holds_plain_files_only(bundle_folder):
    for file in bundle_folder.iterdir():
        assert file.suffix in {".json", ".treelite"}
        if file.suffix == ".json":
            json.loads(file.read_text())


def rewritten(folder, bundle_folder, **changes):
    """Write what a bundle holds again, with changes."""
    one = load_bundle(bundle_folder)
    given = {
        "problem": PROBLEM, "full": one.full, "reduced": one.reduced, "prior": one.prior, "cascade": one.cascade,
        "default": one.model.default, "references": one.references, "learnt": one.model.learnt, "entry": ENTRY,
    }  # fmt: skip
    return write_bundle(folder, **given | changes)


def test_same_inputs_same_bytes(bundle_folder, tmp_path):
    rewritten(tmp_path, bundle_folder)
    for file in bundle_folder.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


def test_version_is_a_digest_of_the_content(bundle_folder, tmp_path):
    other = replace(PROBLEM, task=Classification(Costs(miss=1.0, false_alarm=1.0)))
    rewritten(tmp_path, bundle_folder, problem=other)
    assert load_bundle(tmp_path).version != load_bundle(bundle_folder).version
    assert load_bundle(tmp_path).task.threshold == 0.5


def test_an_older_bundle_is_one_clear_line(bundle_folder, tmp_path):
    folder = shutil.copytree(bundle_folder, tmp_path / "models")
    facts = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(facts | {"format": 1}))
    with pytest.raises(BundleError, match=r"format 1.*dvc repro tune") as error:
        load_bundle(folder)
    assert "\n" not in str(error.value)


def test_changed_file_is_refused(bundle_folder, tmp_path):
    folder = shutil.copytree(bundle_folder, tmp_path / "models")
    references = json.loads((folder / "references.json").read_text())
    references["depots"]["columns"]["distance_km"][0] = 999
    (folder / "references.json").write_text(json.dumps(references))
    with pytest.raises(BundleError, match=r"references.json: the file is not the one bundled"):
        load_bundle(folder)


def test_bundle_of_other_features_is_refused(bundle_folder, monkeypatch):
    hash_then = PROBLEM.features.hash
    monkeypatch.setattr(PROBLEM.features, "hash", "0" * 12)
    with pytest.raises(BundleError, match=f"made for features {hash_then}; installed are 000000000000"):
        load_bundle(bundle_folder)


@pytest.mark.parametrize(
    "change", [{"default": 0.99}, {"entry": "ringbound.testing.parcels:OTHER"}, {"version": "0" * 12}]
)
def test_changed_facts_are_refused(bundle_folder, tmp_path, change):
    folder = shutil.copytree(bundle_folder, tmp_path / "models")
    facts = json.loads((folder / "bundle.json").read_text())
    facts["model"] |= change
    (folder / "bundle.json").write_text(json.dumps(facts))
    with pytest.raises(BundleError, match=r"bundle.json: the file is not the one bundled"):
        load_bundle(folder)


def test_missing_bundle_is_one_clear_line(tmp_path):
    with pytest.raises(BundleError, match="expected a model bundle"):
        load_bundle(tmp_path)


def test_serving_needs_neither_pandas_nor_scikit_learn(bundle_folder, log, questions):
    """What the Bento installs is what serving imports."""
    code = (
        "import json, sys; from pathlib import Path\n"
        "from ringbound.models.bundle import load_bundle; from ringbound.serving.predictor import Predictor\n"
        "from ringbound.features.live import LiveFeatures; from ringbound.store.store import Store\n"
        "bundle = load_bundle(Path(sys.argv[1]))\n"
        "live = LiveFeatures(bundle.features, Store(sys.argv[3]), retained=2**61)\n"
        "answers = Predictor(bundle, live).predict(json.loads(sys.argv[2]))\n"
        "heavy = {'pandas', 'pyarrow', 'sklearn', 'optuna', 'pandera', 'whylogs', 'matplotlib', 'tqdm', 'requests', 'dvc'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\nprint(answers[0]['probability'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(bundle_folder), json.dumps(questions[:2]), str(log.engine.url)],
        cwd=SRC, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert 0 < float(result.stdout) < 1
