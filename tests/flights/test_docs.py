import re

import pytest

from ringbound.serving.settings import ServiceSettings


@pytest.fixture(scope="module")
def readme(root) -> str:
    return (root / "README.md").read_text("utf-8")


def test_every_make_target_that_is_named_exists(root, readme):
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), flags=re.M))
    assert set(re.findall(r"make ([a-z]+)\b(?=[`\s&])", readme)) - {"and"} <= targets


def test_every_command_is_documented(readme):
    from typer.main import get_command

    from ringbound.cli.main import app

    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    shown = {"summary": "make run", "serve": "make serve"}
    assert len(commands) > 7
    assert [name for name in commands if shown.get(name, f"ringbound {name}") not in readme] == []


def test_every_path_that_is_named_exists(root, readme):
    named = re.findall(r"`((?:notebooks|src|bentos|tests|params|dvc|pyproject|LICENSE)[\w./]*)`", readme)
    assert len(named) > 8
    assert [path for path in named if not (root / path).exists()] == []


def test_ci_runs_readmes_test_command(root, readme):
    assert "make test " in readme
    assert (root / ".ci/run").read_text().rstrip().endswith("make test")


def test_what_deployments_set_is_what_a_service_reads(root, tmp_path):
    read = ServiceSettings(bundle=tmp_path, store="", archive=tmp_path, keys=tmp_path).to_environment().keys()
    for file in ("compose.yaml", "kubernetes/deployment.yaml"):
        set_up = {*re.findall(r"RINGBOUND_[A-Z_]+", (root / "bentos/ops" / file).read_text())}
        assert "RINGBOUND_STORE" in set_up
        assert set_up <= read, file
