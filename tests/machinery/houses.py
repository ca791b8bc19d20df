"""Somebody else's problem: what will a house sell for? Another table, a regression, notebooks and a package of its own.

A workspace of seven notebooks and their dvc.yaml, which a test builds once and shares. No line of the machinery is in it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from ringbound.testing.notebooks import code_cell, write_notebook

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

FEATURES = """\
#| export
import numpy as np

from ringbound import EventSource, FeatureSet, Field, view

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

TABLE = """\
import pandas as pd
from ringbound import (EventTables, columns_of, compute_features, read_table, split_by_month, with_features, workspace,
                       write_training_table)
from ringbound.workspace import layout

houses = read_table(workspace.stage_input(layout.CLEAN), "houses")
tables = EventTables(workspace.stage_input(layout.CLEAN), FEATURES.sources)
houses = houses.assign(month=houses["at"].dt.strftime("%Y-%m"), week=houses["at"].dt.strftime("%G-W%V"))
requests = houses[["district", "area", "built", "at"]]
features = compute_features(FEATURES, tables, requests, {})
split = split_by_month(houses["month"], valid_months=valid_months, test_months=1)
columns = houses[["house_id", "at", "week", "month", "price"]].assign(split=split)
write_training_table(with_features(columns, features), month="month", requests=requests, features=FEATURES,
                     references={}, out=workspace.stage_folder(layout.FEATURES))"""

INGEST = """\
import pandas as pd
from ringbound import Files, Table, ingest, workspace
from ringbound.workspace import layout

HOUSES = {"house_id": "string", "district": "string", "area": "number", "built": "timestamp", "at": "timestamp",
          "price": "number"}
SALES = {"id": "string", "time": "timestamp", "available_at": "timestamp", "district": "string", "metre": "number"}
source = workspace.stage_input("data/sources")
tables = [
    Table("houses", Files(source / "houses.csv", HOUSES), HOUSES, ("house_id",), time="at"),
    Table("sales", Files(source / "sales.csv", SALES), SALES, ("id",), time="available_at"),
]
ingest(tables, through=pd.Timestamp(through), previous=workspace.root() / layout.CLEAN,
       out=workspace.stage_folder(layout.CLEAN))"""

PROBLEM = """\
#| export
from houses.features import FEATURES
from ringbound import Problem, Regression


def slices(rows, past):
    return rows[["district"]]


PROBLEM = Problem(
    name="house-prices", question="What will this house sell for?", task=Regression(unit="thousand"),
    features=FEATURES, id="house_id", label="price", block="week", month="month",
    prior={"district": None, "log_area": 1.0}, slices=slices, guarded=["district"], rows="houses",
    examples=[{"district": "north", "area": 90, "built": "1990-01-01T00:00:00Z", "at": "2020-06-20T00:00:00Z"}],
    limits=["It has seen half a year."],
)"""

TUNE = """\
from ringbound import Budget, Candidate, fit_linear, fit_trees, read_training_table, search_models, try_ladder
from ringbound import learn_profile, workspace, write_model
from ringbound.workspace import layout
from houses.problem import PROBLEM

LINEAR = Candidate("linear", fit_linear, lambda t: {"strength": t.suggest_float("strength", 1, 100, log=True)}, "cheap")
TREES = Candidate("trees", fit_trees, lambda t: {
    "learning_rate": 0.2, "iterations": t.suggest_int("iterations", 40, 80), "leaves": 31, "min_leaf": 5, "penalty": 0.0})
training = read_training_table(workspace.stage_input(layout.FEATURES), PROBLEM)
rows = training.labelled("train", "valid")
candidate = {"linear": LINEAR, "trees": TREES}[kind]
full = search_models(rows, [candidate], Budget(2, seed))
reduced = search_models(rows, [LINEAR], Budget(2, seed), features=PROBLEM.features.plain)
ladder = try_ladder(full, reduced)
profile = learn_profile(ladder)
bundle = write_model(workspace.stage_folder(layout.MODELS), ladder.refit(), ladder, training, None, profile=profile)
bundle.model.write(workspace.stage_output(layout.MODEL))
full.progress(), full.parallel(), ladder"""

EVALUATE = """\
from ringbound import (bias_table, evaluate_ladder, importance_table, load_bundle, model_card, read_training_table,
                       slice_table, slices_of, workspace, write_evaluation)
from ringbound.workspace import layout
from houses.problem import PROBLEM

bundle = load_bundle(workspace.stage_input(layout.MODELS))
training = read_training_table(workspace.stage_input(layout.FEATURES), PROBLEM)
test, past = training.labelled("test"), training.labelled("train", "valid")
result = evaluate_ladder(bundle, test, draws=20, seed=1)
by = slices_of(test, past)
sliced = slice_table(result, by, draws=20, seed=1, least_rows=20)
bias = bias_table(result, by, least_rows=20)
card = model_card(result, sliced, bias)
result.figure().save(workspace.stage_folder(layout.PLOTS) / "answers.png")
importance_table(bundle, test, seed=1).figure(), sliced.figure("district"), result.cascade()
result.metrics().write(workspace.stage_output(layout.METRICS))
result.record().write(workspace.stage_output(layout.LADDER))
workspace.stage_output(layout.CARD).write_text(card)
write_evaluation(workspace.stage_output(layout.EVALUATION), test, result.answers, by, bundle.model)"""

PACKAGE = """\
from ringbound import answer_examples, build_bento, load_bundle, workspace
from ringbound.workspace import layout

bundle = load_bundle(workspace.stage_input(layout.MODELS))
answer_examples(bundle, workspace.stage_input(layout.CLEAN), show=["market_metre_30d"])
build_bento("houses", bundle_folder=workspace.stage_input(layout.MODELS), root=workspace.root(),
            archive=workspace.stage_output(layout.BENTO))"""

DVC = """\
stages:
  code: {cmd: ringbound notebooks code, deps: [notebooks, src, bentos], outs: [data/code]}
  ingest:
    cmd: ringbound stage ingest
    params: [ingest]
    deps: [data/code/ingest.json, data/sources]
    outs: [data/clean, data/reports/ingest.html, data/reports/ingest.ipynb]
  features:
    cmd: ringbound stage features
    params: [features]
    deps: [data/code/features.json, data/clean]
    outs: [data/features, data/reports/features.html, data/reports/features.ipynb]
  tune:
    cmd: ringbound stage tune
    params: [tune]
    deps: [data/code/tune.json, data/features]
    outs: [data/models, data/reports/tune.html, data/reports/tune.ipynb, data/reports/model.json: {cache: false}]
  evaluate:
    cmd: ringbound stage evaluate
    deps: [data/code/evaluate.json, data/features, data/models]
    outs:
      - data/evaluation
      - data/plots
      - data/reports/ladder.json: {cache: false}
      - data/reports/metrics.json: {cache: false}
      - data/reports/model_card.md: {cache: false}
      - data/reports/evaluate.html
      - data/reports/evaluate.ipynb
  package:
    cmd: ringbound stage package
    deps: [bentos, data/clean, data/code/bentos/service.json, data/code/package.json, data/models]
    outs: [data/bento, data/reports/package.html, data/reports/package.ipynb]
artifacts:
  house-prices: {path: data/models, type: model}
"""

PARAMS = """\
ingest: {through: "2020-07-01T00:00:00Z"}
features: {valid_months: 2}
tune: {seed: 1, kind: KIND}
gates: {latency_ratio: 5.0, proven_rows: 50, replayed_rows: 30, draws: 50, seed: 7, least_rows: 20, alpha: 0.05,
        slice_margin: 50.0, bias: 50.0}
cost: {cpu_hour: 0.05, gb_month: 0.02, currency: €, run: 0.0, answers: 0.0}
"""


class Houses:
    """The workspace in a folder; commands run in it as a user would run them."""

    def __init__(self, root: Path, kind: str):
        self.root = root
        ignored = shutil.ignore_patterns("__pycache__")
        for folder in ("src/ringbound", "bentos"):
            shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
        (root / "src/houses").mkdir()
        (root / "src/houses/__init__.py").write_text("")
        (root / "pyproject.toml").write_text('[tool.ringbound]\nproblem = "houses.problem:PROBLEM"\n')
        (root / "params.yaml").write_text(PARAMS.replace("KIND", kind))
        (root / "dvc.yaml").write_text(DVC)
        (root / ".gitignore").write_text("__pycache__\n")
        write_sources(root / "data/sources")
        cells = {
            "ingest": [code_cell("through = ''", "parameters"), code_cell(INGEST)],
            "features": [
                code_cell("#| default_exp features"),
                code_cell(FEATURES),
                code_cell("valid_months = 1", "parameters"),
                code_cell(TABLE),
            ],
            "problem": [code_cell("#| default_exp problem"), code_cell(PROBLEM)],
            "tune": [code_cell("seed = 0\nkind = 'trees'", "parameters"), code_cell(TUNE)],
            "evaluate": [code_cell(EVALUATE)],
            "package": [code_cell(PACKAGE)],
        }
        for name, some in cells.items():
            write_notebook(root / f"notebooks/{name}.ipynb", *some)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("RINGBOUND")} | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root / "src"),
            "BENTOML_HOME": str(root / ".bentoml"),
        }
        self.call("git", "init", "-q", "-b", "main")
        for name, value in (("user.name", "Ann"), ("user.email", "ann@example.org")):
            self.call("git", "config", name, value)
        self.call("dvc", "init", "-q")
        shutil.copyfile(ROOT / ".dvcignore", self.root / ".dvcignore")  # what Python leaves beside sources is none
        self.call("ringbound", "notebooks", "export")

    def call(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run a command in the workspace."""
        result = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True)
        assert result.returncode == 0 or not check, f"{command}: {result.stdout[-2000:]} {result.stderr[-2000:]}"
        return result

    def serve_first(self, through: str) -> None:
        """Make the first version, which has learnt up to a time, and promote it."""
        params = self.root / "params.yaml"
        params.write_text(params.read_text().replace("2020-07-01T00:00:00Z", through))
        self.call("dvc", "repro")
        self.call("ringbound", "gate")
        (self.root / ".gitignore").write_text("__pycache__\n/data/ops/\n/data/.staging/\n/.bentoml/\n")
        self.call("git", "add", "-A")
        self.call("git", "commit", "-q", "-m", "first")
        self.call("ringbound", "registry", "register")
        self.call("ringbound", "registry", "promote", "v1", "prod", "--force", "--reason", "the first")

    def repro(self) -> list[str]:
        """Reproduce and return the names of the stages that ran."""
        return re.findall(r"Running stage '(\w+)'", self.call("dvc", "repro").stdout)

    def python(self, code: str) -> str:
        """Run Python in the workspace and return what it prints."""
        return self.call(sys.executable, "-c", code).stdout


def write_sources(folder: Path, *, n: int = 3000, seed: int = 1) -> None:
    """Write the houses of half a year, in which a square metre gets dearer, and what was paid for it."""
    random = np.random.default_rng(seed)
    day = np.sort(random.uniform(0, 180, n))
    at = pd.Timestamp("2020-01-01T00:00Z") + pd.to_timedelta((day * 86400).round(), unit="s")
    district, area = random.choice(["north", "south", "old town"], n), random.uniform(30, 300, n).round(1)
    metre = 2.0 + day / 90 + random.normal(0, 0.1, n)
    text = lambda times: times.strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: E731
    houses = pd.DataFrame(
        {
            "house_id": [f"h{i}" for i in range(n)],
            "district": district,
            "area": area,
            "built": text(pd.DatetimeIndex(pd.to_datetime(random.integers(-(10**9), 10**9, n), unit="s", utc=True))),
            "at": text(at),
            "price": (area * metre + 100.0 * (district == "old town")).round(1),
        }
    )
    sales = pd.DataFrame(
        {
            "id": [f"s{i}" for i in range(n)],
            "time": text(at),
            "available_at": text(at + pd.Timedelta(hours=1)),
            "district": district,
            "metre": metre.round(2),
        }
    )
    folder.mkdir(parents=True)
    houses.to_csv(folder / "houses.csv", index=False)
    sales.to_csv(folder / "sales.csv", index=False)
