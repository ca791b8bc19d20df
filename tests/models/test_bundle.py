import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from ringbound.errors import BundleError
from ringbound.features.frames import columns_of
from ringbound.models.bundle import load_bundle


def test_bundle_answers_with_finite_probabilities(bundle_folder, flights, windowed):
    answers = load_bundle(bundle_folder).predict(columns_of(flights), windowed)
    assert ((answers > 0) & (answers < 1)).all()
    assert answers.std() > 0.01


def test_bundle_holds_plain_files_only(bundle_folder):
    for file in bundle_folder.iterdir():
        assert file.suffix in {".json", ".treelite"}
        if file.suffix == ".json":
            json.loads(file.read_text())


def test_same_inputs_same_bytes(bundle_folder, tmp_path, references):
    from flights.features import FEATURES
    from ringbound.models.bundle import write_bundle

    one = load_bundle(bundle_folder)
    write_bundle(
        tmp_path, full=one.full, reduced=one.reduced, prior=one.prior, cascade=one.cascade,
        entry="flights.features:FEATURES", features=FEATURES, references=references, task="classification",
        threshold=0.25, provenance=one.facts["provenance"],
    )  # fmt: skip
    for file in bundle_folder.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


def test_changed_file_is_refused(bundle_folder, tmp_path):
    folder = shutil.copytree(bundle_folder, tmp_path / "models")
    references = json.loads((folder / "references.json").read_text())
    references["planes"]["columns"]["seats"][0] = 999
    (folder / "references.json").write_text(json.dumps(references))
    with pytest.raises(BundleError, match=r"references.json: the file is not the one bundled"):
        load_bundle(folder)


def test_bundle_of_other_features_is_refused(bundle_folder, tmp_path):
    folder = shutil.copytree(bundle_folder, tmp_path / "models")
    facts = json.loads((folder / "bundle.json").read_text())
    facts["features"]["hash"] = "0" * 12
    (folder / "bundle.json").write_text(json.dumps(facts))
    with pytest.raises(BundleError, match="made for features 000000000000; installed are"):
        load_bundle(folder)


def test_missing_bundle_is_one_clear_line(tmp_path):
    with pytest.raises(BundleError, match="expected a model bundle"):
        load_bundle(tmp_path)


def test_serving_needs_neither_pandas_nor_scikit_learn(bundle_folder, log, questions, root):
    """What the Bento installs is what serving imports."""
    code = (
        "import json, sys; from pathlib import Path\n"
        "from ringbound.models.bundle import load_bundle; from ringbound.serving.predictor import Predictor\n"
        "from ringbound.features.live import LiveFeatures; from ringbound.store import Store\n"
        "bundle = load_bundle(Path(sys.argv[1]))\n"
        "live = LiveFeatures(bundle.features, Store(sys.argv[3]), retained=2**61)\n"
        "answers = Predictor(bundle, live).predict(json.loads(sys.argv[2]))\n"
        "heavy = {'pandas', 'pyarrow', 'sklearn', 'optuna', 'pandera', 'whylogs', 'matplotlib', 'tqdm', 'requests', 'dvc'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\nprint(answers[0]['probability'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(bundle_folder), json.dumps(questions[:2]), str(log.engine.url)],
        cwd=root / "src", capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert 0 < float(result.stdout) < 1


def test_version_is_a_digest_of_the_content(bundle_folder, tmp_path, references):
    from flights.features import FEATURES
    from ringbound.models.bundle import write_bundle

    one = load_bundle(bundle_folder)
    write_bundle(
        tmp_path, full=one.full, reduced=one.reduced, prior=one.prior, cascade=one.cascade,
        entry="flights.features:FEATURES", features=FEATURES, references=references, task="classification",
        threshold=0.5, provenance=one.facts["provenance"],
    )  # fmt: skip
    assert load_bundle(tmp_path).version != one.version
    assert np.isclose(load_bundle(tmp_path).threshold, 0.5)
