"""The service itself, made and called without a process; and the page it describes itself on."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.responses import JSONResponse

from ringbound.errors import WorkspaceError
from ringbound.serving.service import build_service
from ringbound.serving.settings import ServiceSettings
from ringbound.testing.parcels import PROBLEM


@pytest.fixture
def settings(bundle_folder, log) -> ServiceSettings:
    return ServiceSettings(bundle=bundle_folder, store=str(log.engine.url), clock="event")


@pytest.fixture
def service(settings):
    return build_service(settings).inner()


def call(service, name: str, **given):
    """Call an endpoint as BentoML does."""
    answered = getattr(service, name)(**given)
    return asyncio.run(answered) if asyncio.iscoroutine(answered) else answered


def rows_of(service, rows: list[dict]) -> list:
    return [service.predictor.Row.model_validate(row) for row in rows]


def test_the_examples_of_the_page_are_answered(settings, service):
    described = json.dumps(build_service(settings).openapi_spec.asdict(), default=str)
    for example in PROBLEM.examples:
        assert json.dumps(example["promised"]) in described
    answers = call(service, "predict", rows=rows_of(service, [dict(example) for example in PROBLEM.examples]))
    assert len(answers.predictions) == len(PROBLEM.examples)
    assert all(0 < answer.probability < 1 for answer in answers.predictions)


def test_a_question_that_cannot_be_answered_is_400_in_one_line(service):
    (row,) = rows_of(service, [dict(PROBLEM.examples[0], at="2019-01-01T00:00:00Z")])
    answered = call(service, "predict", rows=[row])
    assert isinstance(answered, JSONResponse)
    assert answered.status_code == 400
    assert json.loads(answered.body)["error"].startswith("at: expected 2020-")


def test_events_that_come_in_are_in_the_next_answer(settings, tmp_path):
    service = build_service(replace(settings, store=f"sqlite:///{tmp_path}/store.db")).inner()
    event = {"id": "a", "time": "2020-03-29T21:00:00Z", "depot": "north", "courier": "c07", "route": 1, "late_min": 30}
    taken = call(service, "events", source="arrivals", events=[event])
    assert (taken.accepted, taken.duplicates) == (1, 0)
    described = call(service, "features", rows=rows_of(service, [dict(PROBLEM.examples[0])]))
    assert described.vectors[0][described.names.index("depot_late_mean_3h")] == 30


def test_settings_are_what_the_environment_says(tmp_path):
    given = ServiceSettings(
        tmp_path / "bundle", "sqlite:///x.db", clock="event", workers=3, snapshot=tmp_path / "s.npz"
    )
    assert ServiceSettings.from_environment(tmp_path, given.to_environment()) == given
    plain = ServiceSettings.from_environment(tmp_path, {})
    assert plain == ServiceSettings(tmp_path / "bundle", f"sqlite:///{tmp_path}/store.db")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CLOCK", "sun", "expected one of wall, event"),
        ("WORKERS", "0", "at least 1"),
        ("WORKERS", "two", "a whole number"),
    ],
)
def test_settings_that_are_none_are_refused(name, value, says):
    with pytest.raises(WorkspaceError, match=f"RINGBOUND_{name}: .*{says}"):
        ServiceSettings.from_environment(Path(), {f"RINGBOUND_{name}": value})
