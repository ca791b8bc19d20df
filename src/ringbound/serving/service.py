"""The online service: BentoML around a model bundle."""

import gc
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable
from functools import cached_property
from importlib.metadata import distributions, version
from typing import Annotated, Any, Literal

import bentoml
import pydantic
from bentoml.images import Image
from starlette.responses import JSONResponse

from ringbound.models.bundle import Bundle, load_bundle
from ringbound.serving.access import WHO
from ringbound.serving.body import refusal
from ringbound.serving.hot_path import HotPath
from ringbound.serving.intake import MOST_EVENTS, event_model
from ringbound.serving.outcomes import MOST_OUTCOMES, outcome_model
from ringbound.serving.page import describe, example
from ringbound.serving.predictor import MOST_ROWS
from ringbound.serving.reasons import Explanation
from ringbound.serving.request import row_model
from ringbound.serving.routes import Serving
from ringbound.serving.settings import ServiceSettings

# Exactly what the bundle was tested with. Serving needs neither pandas nor scikit-learn.
PACKAGES = (
    "alembic",
    "bentoml",
    "httptools",
    "numpy",
    "orjson",
    "psycopg",
    "psycopg-binary",
    "pydantic",
    "scipy",
    "sqlalchemy",
    "treelite",
    "tzdata",
    "uvloop",
)
OPTIONAL = ("psycopg", "psycopg-binary", "uvloop")
"""Those without which a service serves, too: on one host, or somewhat slower."""
TIMEOUT_S = 10
WATCH_S = 0.5
SWITCH_S = 0.0005
"""After which a thread lets others go on: an answer does not wait for a batch of events to be read."""


class Vectors(pydantic.BaseModel):
    """The features of rows, in model order; a missing value is null."""

    features: Annotated[str, pydantic.Field(description="hash of the definitions")]
    names: list[str]
    vectors: list[list[float | str | None]]
    at: Annotated[list[str], pydantic.Field(description="the time as of which each row was looked up")]
    newest: Annotated[dict[str, Any], pydantic.Field(description="each source's newest event, and its age")]


class Taken(pydantic.BaseModel):
    """What became of a batch of events."""

    accepted: Annotated[int, pydantic.Field(description="events that are new, now in the log for good")]
    duplicates: Annotated[int, pydantic.Field(description="events that the log had; they count once")]
    conflicting: Annotated[list[str], pydantic.Field(description="ids among them that the log has with other content")]
    late: Annotated[
        int, pydantic.Field(description="events of the batch that became known too late to count in any window")
    ]


class Heard(pydantic.BaseModel):
    """What became of a batch of outcomes."""

    accepted: Annotated[int, pydantic.Field(description="outcomes that are new, now in the store for good")]
    duplicates: Annotated[int, pydantic.Field(description="outcomes that were there, with their time and value")]
    corrections: Annotated[int, pydantic.Field(description="new ones for predictions that had an outcome")]
    superseded: Annotated[
        int,
        pydantic.Field(description="outcomes of the batch that do not stand: another was determined, or said, later"),
    ]
    unknown: Annotated[int, pydantic.Field(description="predictions that are not in the store (yet)")]


class Refused(pydantic.BaseModel):
    """Why a row has no answer."""

    error: str


def requirements() -> list[str]:
    """Return what a service has to install, at the versions that are installed here; what is optional may be missing."""
    there = {str(one.name).lower().replace("_", "-") for one in distributions()}
    return [f"{name}=={version(name)}" for name in PACKAGES if name in there or name not in OPTIONAL]


def answer_model(bundle: Bundle) -> type[pydantic.BaseModel]:
    """Return the pydantic model of one answer of this bundle."""
    value: dict[str, Any] = {"prediction_id": (str, ...)}
    task = bundle.task
    bounds: dict[str, Any] = (
        {"ge": 0, "le": 1} if task.probabilities else {} if task.least is None else {"ge": task.least}
    )
    kind: Any = dict[str, Annotated[float, pydantic.Field(ge=0, le=1)]] if task.classes else float
    value[task.answer] = (kind, pydantic.Field(description=task.says_answer, **bounds))
    if bundle.facts.sets:
        says = f"classes that hold about {task.coverage:.0%} of outcomes; the likeliest is always among them"
        value["set"] = (list[str], pydantic.Field(description=says))
    if bundle.facts.intervals:
        holds = f"of an interval that holds about {task.coverage:.0%} of outcomes; null: not known for this rung"
        for name, end in (("low", "the lower end"), ("high", "the upper end")):
            value[name] = (float | None, pydantic.Field(description=f"{end} {holds}"))
    if task.says_decision:
        share = bundle.problem.undecided
        says = (
            f"{task.says_decision}; null: left undecided, as {share:.2%} are, to see what comes then" if share else ""
        )
        value["decision"] = (
            str if task.classes else bool | None if share else bool,
            pydantic.Field(description=says or task.says_decision),
        )
    value["model_version"] = (str, pydantic.Field(description="version of the bundle that answered"))
    value["rung"] = (
        str,
        pydantic.Field(description=f"which rung of the ladder answered: {', '.join(bundle.model.rungs)}"),
    )
    value["reason"] = (
        str | None,
        pydantic.Field(None, description="why no better rung answered; null for the full model"),
    )
    value["recorded"] = (
        bool,
        pydantic.Field(False, description="whether the answer was in the store before it was given"),
    )
    value["explanation"] = (
        Explanation | None,
        pydantic.Field(None, description="what counted most, where it was asked for"),
    )
    # `model_version` is what everyone calls it; pydantic keeps the prefix for itself unless told.
    return pydantic.create_model("Answer", __config__=pydantic.ConfigDict(protected_namespaces=()), **value)


async def answered(answer: Awaitable[Any]) -> Any:
    """Return an answer or, where there is none, one line with its status; BentoML would log a traceback and hide why."""
    try:
        return await answer
    except Exception as error:  # whatever it is, who asks gets one line
        status, says = refusal(error)
        return JSONResponse({"error": says}, status_code=status)


def build_service(settings: ServiceSettings) -> Any:
    """Return the BentoML service of the bundle in `settings.bundle`: /predict, /features, /events and /outcomes.

    Its `inner` class can be made and called without a process: `build_service(settings).inner()`.
    """
    bundle = load_bundle(settings.bundle, lenient=True)
    Row: Any = row_model(bundle.features.asked)
    Answer: Any = answer_model(bundle)
    examples = [dict(example) for example in bundle.problem.examples]
    Rows = Annotated[
        list[Row],
        pydantic.Field(min_length=1, max_length=MOST_ROWS, description=f"1 to {MOST_ROWS} rows", examples=[examples]),
    ]
    Partial = Annotated[
        bool, pydantic.Field(description="a row that does not fit is told in its place, not refused with all")
    ]
    Explain = Annotated[bool, pydantic.Field(description="whether answers say what counted most")]
    Priority = Annotated[
        Literal["normal", "low"], pydantic.Field(description="low steps down first where too much is asked")
    ]
    sources = {name: event_model(source, settings.present) for name, source in bundle.features.sources.items()}
    Source = Annotated[str, pydantic.Field(description=f"one of {', '.join(sorted(sources))}")]
    Events = Annotated[list[dict[str, Any]], pydantic.Field(description=f"1 to {MOST_EVENTS} events of the source")]
    Outcome: Any = outcome_model(bundle.task)
    Outcomes = Annotated[
        list[Outcome],
        pydantic.Field(
            min_length=1,
            max_length=MOST_OUTCOMES,
            description=f"1 to {MOST_OUTCOMES} outcomes",
            examples=[[example(Outcome)]],
        ),
    ]
    Name = Annotated[str, pydantic.Field(min_length=1, max_length=200, description="the id that came with the answer")]
    Answers: Any = pydantic.create_model(
        "Answers", __doc__="One answer per row, in the order of the rows.", predictions=(list[Answer | Refused], ...)
    )

    current: list[Any] = []

    class Service:
        """Predictions for rows, online, the events that their features look back on, and what really came."""

        def __init__(self) -> None:
            end_with_parent()
            sys.setswitchinterval(SWITCH_S)
            self.serving = Serving(bundle, settings)
            current.append(self.serving)
            # What is loaded stays: looked through with each collection of garbage, it would hold all requests up.
            gc.collect()
            gc.freeze()

        @bentoml.on_shutdown
        def shutdown(self) -> None:
            """Write what was answered and is not recorded yet."""
            self.serving.close()

        @bentoml.api(route="/predict")
        async def predict(
            self, rows: Rows, partial: Partial = False, explain: Explain = False, priority: Priority = "normal"
        ) -> Answers:
            """Answer each row; a row that does not fit is refused with the reason."""
            given = [_given(row) for row in rows]
            told = await answered(self.serving.predict(given, partial=partial, explain=explain, priority=priority))
            return told if isinstance(told, JSONResponse) else Answers(predictions=told)

        @bentoml.api(route="/features")
        async def features(self, rows: Rows) -> Vectors:
            """Return each row's feature vector as the model would get it, and how new the events behind it are."""
            told = await answered(self.serving.features([_given(row) for row in rows]))
            return told if isinstance(told, JSONResponse) else Vectors(**told)  # type: ignore[return-value]

        @bentoml.api(route="/events")
        async def events(self, source: Source, events: Events) -> Taken:
            """Log a batch of events, whole and for good once it is answered; sending it again changes nothing."""
            told = await answered(self.serving.off_loop(lambda: self.serving.intake.take(source, events)))
            return told if isinstance(told, JSONResponse) else Taken(**told)  # type: ignore[return-value]

        @bentoml.api(route="/outcomes")
        async def outcomes(self, outcomes: Outcomes) -> Heard:
            """Keep what really came of predictions, whole and for good once it is answered.

            Sending it again changes nothing. An outcome with another time or value is a correction: both are kept, and what
            was determined last counts.
            """
            given = [_given(outcome) for outcome in outcomes]
            who = WHO.get()
            told = await answered(self.serving.off_loop(lambda: self.serving.heard.take(given, who)))
            return told if isinstance(told, JSONResponse) else Heard(**told)  # type: ignore[return-value]

        @bentoml.api(route="/receipts")
        async def receipts(self, prediction_id: Name) -> dict[str, Any]:
            """Return what an answer was made of, why it is what it is, and the proof of its record; also GET /receipts/ID."""
            return await answered(self.serving.receipt(prediction_id))

    class Routed(bentoml.Service):
        """Outside of everything that BentoML does around a request, which takes longer than the answer."""

        def to_asgi(self, is_main: bool = True) -> Any:
            return HotPath(super().to_asgi(is_main), lambda: current[-1] if current else None)

        @cached_property
        def openapi_spec(self) -> Any:
            given = super().openapi_spec
            described = describe(json.loads(json.dumps(given.asdict())), says=says, sources=sources)
            return type(given).from_yaml_file(io.StringIO(json.dumps(described)))

    says = f"{bundle.problem.question} Model {bundle.version}: online, 1 to {MOST_ROWS} rows a request."
    image = Image(base_image="python:3.11-slim", distro="", python_version="3.11", lock_python_packages=False)
    configured: Any = bentoml.service(
        name="ringbound",
        service_class=Routed,
        description=says,
        image=image.python_packages(*requirements()),
        workers=settings.workers,
        ssl={
            "enabled": settings.tls_cert is not None,
            "certfile": settings.tls_cert and str(settings.tls_cert),
            "keyfile": settings.tls_key and str(settings.tls_key),
        },
        traffic={"timeout": TIMEOUT_S},
        logging={"access": {"enabled": False}},
        # Spans on every request, for a collector that is not there, cost more than the model.
        tracing={"excluded_urls": ".*"},
    )
    return configured(Service)


def end_with_parent() -> None:
    """End this process when the one that watches over it is gone: it would answer for good, and keep the port."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="watch", daemon=True).start()


def _given(row: pydantic.BaseModel) -> dict[str, Any]:
    """Return a validated row as it was sent."""
    return {name: value for name, value in vars(row).items() if name in row.model_fields_set}
