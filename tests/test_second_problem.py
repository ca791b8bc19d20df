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
from ringbound.features.events import EventSource
from ringbound.features.request import Field
from ringbound.features.view import view

DISTRICT = Field("district", "category", "where the house is", "north")
REQUEST = [
    DISTRICT,
    Field("area", "number", "square metres", 90, ge=10, le=1000),
    Field("built", "timestamp", "when it was built", "1990-01-01T00:00:00Z"),
]


def log_area(area):
    return np.log2(area)


def age_y(built):
    return 2020 - built.astype("datetime64[Y]").astype(np.int64) - 1970.0


METRE = Field("metre", "number", "price of a square metre", 2.0, ge=0, le=1000)
SALES = EventSource("sales", [DISTRICT, METRE], {"metre": 100})
MARKET = view("market", entity="district", events="sales", metre=("mean", "metre", "30d"), sales=("count", "30d"))
FEATURES = FeatureSet(REQUEST, numbers=[log_area, age_y], categories=["district"], sources=[SALES], views=[MARKET])"""

PACKAGE = """\
#| export
EXAMPLES = [{"district": "north", "area": 90, "built": "1990-01-01T00:00:00Z"}]"""

TRAIN = """\
import json
import numpy as np, pandas as pd
from houses.features import FEATURES
from ringbound import workspace
from ringbound.features.frames import columns_of
from ringbound.features.offline import EventTables, asof_join
from ringbound.models.bundle import Rung, write_bundle
from ringbound.models.candidates import fit_linear, fit_trees
from ringbound.models.encoding import Encoder, learn_vocabularies

random = np.random.default_rng(seed)
n = 3000
houses = pd.DataFrame({
    "district": random.choice(["north", "south", "old town"], n), "area": random.uniform(30, 300, n),
    "built": pd.to_datetime(random.integers(-10**9, 10**9, n), unit="s", utc=True),
    "at": pd.Timestamp("2020-01-01", tz="UTC") + pd.to_timedelta(random.integers(0, 90 * 86400, n), unit="s"),
})
day = (houses["at"] - houses["at"].min()).dt.total_seconds() / 86400
price = houses["area"] * (2.0 + day / 90) + 100.0 * (houses["district"] == "old town")
sales = pd.DataFrame({"id": [f"s{i}" for i in range(n)], "time": houses["at"], "available_at": houses["at"],
                      "district": houses["district"], "metre": (2.0 + day / 90).round(2)})
clean = workspace.root() / "data/clean"
for month, part in sales.groupby(sales["available_at"].dt.strftime("%Y-%m")):
    (clean / "sales").mkdir(parents=True, exist_ok=True)
    part.to_parquet(clean / f"sales/{month}.parquet", index=False)
(clean / "provenance.json").write_text(json.dumps({"through": "2020-03-31T00:00:00+00:00"}))
(windowed,) = asof_join(FEATURES, EventTables(clean, FEATURES.sources), [houses])
features = FEATURES.compute(columns_of(houses), {}, windowed)
encoder = Encoder(FEATURES.numbers, learn_vocabularies(features, FEATURES.categories))
X = encoder.matrix(features)
if kind == "linear":
    model = fit_linear(X, price.to_numpy(), sizes=encoder.sizes, task="regression", seed=seed, strength=10.0)
else:
    model = fit_trees(X, price.to_numpy(), sizes=encoder.sizes, task="regression", seed=seed,
                      learning_rate=0.2, iterations=80, leaves=31, min_leaf=5, penalty=0.0)
out = workspace.fresh_folder(workspace.stage_output("data/models"))
write_bundle(out, full=Rung(encoder, model), entry="houses.features:FEATURES", features=FEATURES, references={},
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
        "from ringbound.features.live import LiveFeatures; from ringbound.store import Store, event_clock\n"
        "rows = [{'district': d, 'area': a, 'built': '1990-01-01T00:00:00Z'}"
        " for d in ('north', 'old town', 'new') for a in (100, 200)]\n"
        "bundle = load_bundle(Path('data/models'))\n"
        "live = LiveFeatures(bundle.features, Store('sqlite:///data/ops/store.db'), clock=event_clock)\n"
        "print(json.dumps(Predictor(bundle, live).predict(rows)))"
    )
    assert "3,000 of them new" not in python(
        houses, "-m", "ringbound.cli", "features", "load"
    )  # the last month is enough
    answers = json.loads(python(houses, "-c", code))
    assert set(answers[0]) == {"prediction_id", "value", "model_version"}
    small, large, old_small, old_large, *unseen = [answer["value"] for answer in answers]
    assert large - small > 200  # by the end the market has risen to 3 a square metre
    assert 60 < old_small - small < 140
    assert 60 < old_large - large < 140
    assert len(unseen) == 2


def test_batch_gives_the_same_values(houses):
    (houses / "rows.csv").write_text(
        "district,area,built,owner,at\n"
        "north,100,1990-01-01T00:00:00Z,ann,2020-03-30T00:00:00Z\nnorth,5,x,bob,2020-03-30T00:00:00Z\n"
        "north,100,1990-01-01T00:00:00Z,eve,2020-04-30T00:00:00Z\n"
    )
    python(houses, "-m", "ringbound.cli", "score", "--input", "rows.csv", "--output", "scored.csv", "--quiet")
    header, first, second, third = (houses / "scored.csv").read_text().splitlines()
    assert header.replace('"', "") == "district,area,built,owner,at,value,model_version,error"
    assert float(first.split(",")[5]) > 200
    assert "area: expected a finite number at least 10" in second
    assert "at: expected a time up to 2020-03-31T00:00:00Z, as far as events are known" in third
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
