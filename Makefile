# Everything a newcomer needs; `make help` lists it. The environment lives in .venv, nothing is installed outside it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export BENTOML_HOME := $(CURDIR)/.bentoml
export BENTOML_DO_NOT_TRACK := True
export DVC_NO_ANALYTICS := 1
export WHYLOGS_NO_ANALYTICS := True
export PYTHONPATH := src
export UV_SYSTEM_CERTS := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1
SETUP := .venv/.ready

.DEFAULT_GOAL := help
ENVIRONMENT ?= prod
MINUTES ?= 5
TAG ?= ringbound
.PHONY: help setup run test fuzz lab serve model container dashboard check bench lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

setup: $(SETUP)  ## make .venv from requirements.lock

$(SETUP): requirements.lock pyproject.toml
	@echo "setup: installing the locked environment into .venv"
	@test -x .venv/bin/python || $(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if v in ((3, 11), (3, 12)) else "setup: expected Python 3.11 or 3.12, got %d.%d; run make setup PYTHON=python3.11" % v)'
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@test -x .venv/bin/uv || .venv/bin/python -m pip install -q "$$(sed -nE 's/^ *"(uv==[^"]+)".*/\1/p' pyproject.toml)"
	@VIRTUAL_ENV=.venv uv pip sync -q --compile-bytecode --require-hashes requirements.lock
	@VIRTUAL_ENV=.venv uv pip install -q --no-deps --no-build-isolation -e .
	@touch $@

run: $(SETUP)  ## run the whole pipeline and say what came out
	@dvc repro
	@ringbound summary

test: $(SETUP)  ## run all tests
	@python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

fuzz: $(SETUP)  ## try odd inputs on everything that reads: make fuzz MINUTES=20
	@FUZZ_MINUTES=$$(python -c 'print($(MINUTES) / 5)') python -m pytest -n 2 tests/machinery/test_fuzz.py

lab: $(SETUP)  ## open JupyterLab on the notebooks
	@JUPYTER_CONFIG_PATH="$(CURDIR)/.jupyter" jupyter lab

serve: $(SETUP)  ## serve the packaged model on http://127.0.0.1:3000, at the time at which history ends
	@ringbound features load && ringbound serve --clock event

model: $(SETUP)  ## fetch the model that an environment has: make model ENVIRONMENT=prod
	@ringbound registry fetch $(ENVIRONMENT)

container: $(SETUP)  ## build an image of the packaged model: make container TAG=shop:v3
	@ringbound ops container --tag $(TAG)

dashboard: $(SETUP)  ## look at the searches, also while they run, on http://127.0.0.1:8080
	@optuna-dashboard sqlite:///data/ops/studies.db

check: $(SETUP)  ## notebooks clean, in step and complete; lint; types
	@ringbound notebooks check
	@ruff check .
	@ruff format --check .
	@mypy

bench: $(SETUP)  ## measure; prints tables, fails on nothing
	@python -m pytest -s tests/benchmarks/bench_*.py --override-ini addopts=-q

lock: $(SETUP)  ## resolve pyproject.toml anew into requirements.lock
	@uv pip compile -q --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --no-annotate --all-extras pyproject.toml -o requirements.lock

clean:  ## remove what can be made again, the environment included
	@rm -rf .venv .bentoml data/scratch data/.staging
