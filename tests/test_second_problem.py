"""Somebody else's problem: another table, a regression, a package of its own, and no line of the machinery changed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, code_cell, write_notebook

FEATURES = """\
#| export
import numpy as np

from ringbound.features.definition import FeatureSet
from ringbound.features.request import Field

REQUEST = [
    Field("district", "category", "where the house is", "north"),
    Field("area", "number", "square metres", 90, ge=10, le=1000),
    Field("built", "timestamp", "when it was built", "1990-01-01T00:00:00Z"),
]


def log_area(area):
    return np.log2(area)


def age_y(built):
    return 2020 - built.astype("datetime64[Y]").astype(np.int64) - 1970.0


FEATURES = FeatureSet(REQUEST, numbers=[log_area, age_y], categories=["district"])"""

PACKAGE = """\
#| export
EXAMPLES = [{"district": "north", "area": 90, "built": "1990-01-01T00:00:00Z"}]"""

TRAIN = """\
import numpy as np, pandas as pd
from houses.features import FEATURES
from ringbound import workspace
from ringbound.features.frames import columns_of
from ringbound.models.bundle import write_bundle
from ringbound.models.candidates import fit_linear, fit_trees
from ringbound.models.encoding import Encoder, learn_vocabularies

random = np.random.default_rng(seed)
n = 3000
houses = pd.DataFrame({
    "district": random.choice(["north", "south", "old town"], n), "area": random.uniform(30, 300, n),
    "built": pd.to_datetime(random.integers(-10**9, 10**9, n), unit="s", utc=True),
})
price = houses["area"] * 2.0 + 100.0 * (houses["district"] == "old town")
features = FEATURES.compute(columns_of(houses), {})
encoder = Encoder(FEATURES.numbers, learn_vocabularies(features, FEATURES.categories))
X = encoder.matrix(features)
if kind == "linear":
    model = fit_linear(X, price.to_numpy(), sizes=encoder.sizes, task="regression", seed=seed, strength=10.0)
else:
    model = fit_trees(X, price.to_numpy(), sizes=encoder.sizes, task="regression", seed=seed,
                      learning_rate=0.2, iterations=80, leaves=31, min_leaf=5, penalty=0.0)
out = workspace.fresh_folder(workspace.stage_output("data/models"))
write_bundle(out, model=model, entry="houses.features:FEATURES", features=FEATURES, references={}, encoder=encoder,
             task="regression", threshold=None, provenance={"seed": seed})"""


@pytest.fixture(scope="module", params=["linear", "trees"])
def houses(request, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("houses")
    for folder in ("src/ringbound", "bentos"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "src/houses").mkdir()
    (root / "src/houses/__init__.py").write_text("")
    (root / "pyproject.toml").write_text('[tool.ringbound]\npackage = "houses"\n')
    (root / "params.yaml").write_text(f"train:\n  seed: 1\n  kind: {request.param}\n")
    (root / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: python -m ringbound.stage train\n    outs:\n"
        "      - data/models\n      - data/reports/train.ipynb\n      - data/reports/train.html\n"
    )
    write_notebook(root / "notebooks/features.ipynb", code_cell("#| default_exp features"), code_cell(FEATURES))
    write_notebook(root / "notebooks/package.ipynb", code_cell("#| default_exp package"), code_cell(PACKAGE))
    write_notebook(
        root / "notebooks/train.ipynb", code_cell("seed = 0\nkind = 'trees'", "parameters"), code_cell(TRAIN)
    )
    python(root, "-m", "ringbound.notebooks", "export")
    python(root, "-m", "ringbound.stage", "train")
    return root


def python(root: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    result = subprocess.run([sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_regression_answers_values(houses):
    code = (
        "import json; from pathlib import Path\n"
        "from ringbound.models.bundle import load_bundle; from ringbound.serving.predictor import Predictor\n"
        "rows = [{'district': d, 'area': a, 'built': '1990-01-01T00:00:00Z'}"
        " for d in ('north', 'old town', 'new') for a in (100, 200)]\n"
        "print(json.dumps(Predictor(load_bundle(Path('data/models'))).predict(rows)))"
    )
    answers = json.loads(python(houses, "-c", code))
    assert set(answers[0]) == {"prediction_id", "value", "model_version"}
    small, large, old_small, old_large, *unseen = [answer["value"] for answer in answers]
    assert large - small > 120
    assert 60 < old_small - small < 140
    assert 60 < old_large - large < 140
    assert len(unseen) == 2


def test_batch_gives_the_same_values(houses):
    (houses / "rows.csv").write_text("district,area,built,owner\nnorth,100,1990-01-01T00:00:00Z,ann\nnorth,5,x,bob\n")
    python(houses, "-m", "ringbound.cli", "score", "--input", "rows.csv", "--output", "scored.csv", "--quiet")
    header, first, second = (houses / "scored.csv").read_text().splitlines()
    assert header.replace('"', "") == "district,area,built,owner,value,model_version,error"
    assert float(first.split(",")[4]) > 0
    assert "area: expected a finite number at least 10" in second
    assert "decision" not in header


def test_its_bento_describes_its_rows(houses):
    code = (
        "from pathlib import Path; from ringbound.serving.package import build_bento\n"
        "root = Path('.').resolve()\n"
        "for name in ('a', 'b'):\n"
        "    build_bento('houses', bundle_folder=root / 'data/models', root=root, archive=root / f'{name}.bento')\n"
    )
    python(houses, "-c", code)
    assert (houses / "a.bento").read_bytes() == (houses / "b.bento").read_bytes()
    shutil.unpack_archive(houses / "a.bento", houses / "opened", "gztar")
    described = (houses / "opened/apis/openapi.yaml").read_text()
    assert "square metres" in described
    assert "the predicted value" in described
    assert "flights" not in described
