"""The online service: BentoML around a model bundle."""

import gc
import logging
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Annotated, Any

import bentoml
import pydantic
from bentoml.images import Image
from starlette.responses import JSONResponse

from ringbound.errors import InputError, StoreError
from ringbound.features.live import LiveFeatures
from ringbound.models.bundle import load_bundle
from ringbound.serving.counters import count
from ringbound.serving.gather import Gatherer
from ringbound.serving.hot_path import HotPath
from ringbound.serving.intake import MOST_EVENTS, Intake
from ringbound.serving.predictor import MOST_ROWS, Predictor, answer_model
from ringbound.serving.request import row_model, validated
from ringbound.serving.settings import ServiceSettings
from ringbound.store import Store

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
TIMEOUT_S = 10
LOG = logging.getLogger(__name__)


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


def requirements() -> list[str]:
    """Return what a service has to install, at the versions that are installed here."""
    return [f"{name}=={version(name)}" for name in PACKAGES]


def answer(call: Callable[[], Any]) -> Any:
    """Return what `call` does; what is wrong with a request becomes 400, a store that does not answer 503, in one line.

    BentoML would log a traceback for either, and hide what the second is.
    """
    try:
        return call()
    except InputError as error:
        return JSONResponse({"error": str(error)}, status_code=400)
    except StoreError as error:
        LOG.error("%s", error)
        return JSONResponse({"error": str(error)}, status_code=503)


def build_service(settings: ServiceSettings) -> Any:
    """Return the BentoML service of the bundle in `settings.bundle`: /predict, /features and /events.

    Its `inner` class can be made and called without a process: `build_service(settings).inner()`.
    """
    bundle = load_bundle(settings.bundle)
    Row: Any = row_model(bundle.features.asked)
    Answer: Any = answer_model(bundle)
    examples = [dict(example) for example in bundle.problem.examples]
    Rows = Annotated[
        list[Row],
        pydantic.Field(min_length=1, max_length=MOST_ROWS, description=f"1 to {MOST_ROWS} rows", examples=[examples]),
    ]
    sources = ", ".join(sorted(bundle.features.sources))
    Source = Annotated[str, pydantic.Field(description=f"one of {sources}")]
    Events = Annotated[
        list[dict[str, Any]],
        pydantic.Field(description=f"1 to {MOST_EVENTS} events, each with id, time and the fields of its source"),
    ]
    Answers: Any = pydantic.create_model(
        "Answers", __doc__="One answer per row, in the order of the rows.", predictions=(list[Answer], ...)
    )

    current: list[Any] = []

    class Service:
        """Predictions for rows, online, and the events that their features look back on."""

        def __init__(self) -> None:
            store = Store(settings.store)
            live = LiveFeatures(bundle.features, store, clock=settings.present, snapshot=settings.snapshot)
            self.predictor = Predictor(bundle, live)
            self.predictor.warm_up()
            self.gatherer = Gatherer(
                self.predictor.answer,
                self.predictor.step_down,
                lambda: self.predictor.doing,
                deadline_s=settings.deadline_ms / 1000,
                most=MOST_ROWS,
            )
            self.intake = Intake(bundle.features.sources, store, settings.present)
            current.append(self)
            # What is loaded stays: looked through with each collection of garbage, it would hold all requests up.
            gc.collect()
            gc.freeze()

        async def predict_rows(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
            """Return the answers for rows as they came; `InputError` says which row and field does not fit."""
            if not 1 <= len(rows) <= MOST_ROWS:
                raise InputError(f"rows: expected 1 to {MOST_ROWS}; got {len(rows)}; send several requests")
            return await self._answers(validated(Row, rows, "row"))

        async def _answers(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
            answers = await self.gatherer.answer(rows)
            count(answers)
            return answers

        @bentoml.api(route="/predict")
        async def predict(self, rows: Rows) -> Answers:
            """Answer each row; a row that does not fit is refused with the reason."""
            try:
                return Answers(predictions=await self._answers(rows))
            except InputError as error:
                return JSONResponse({"error": str(error)}, status_code=400)

        @bentoml.api(route="/features")
        async def features(self, rows: Rows) -> Vectors:
            """Return each row's feature vector as the model would get it, and how new the events behind it are."""
            try:
                return await self.gatherer.call(lambda of: answer(lambda: Vectors(**self.predictor.describe(of))), rows)
            except TimeoutError:
                error = {"error": "store: no answer in time; try again"}
                return JSONResponse(error, status_code=503)  # type: ignore[return-value]

        @bentoml.api(route="/events")
        def events(self, source: Source, events: Events) -> Taken:
            """Log a batch of events, whole and for good once it is answered; sending it again changes nothing."""
            return answer(lambda: Taken(**self.intake.take(source, events)))

    image = Image(base_image="python:3.11-slim", distro="", python_version="3.11", lock_python_packages=False)
    configured: Any = bentoml.service(
        name="ringbound",
        description=f"{bundle.problem.question} Model {bundle.version}: online, 1 to {MOST_ROWS} rows a request.",
        image=image.python_packages(*requirements()),
        workers=settings.workers,
        traffic={"timeout": TIMEOUT_S},
        logging={"access": {"enabled": False}},
        # Spans on every request, for a collector that is not there, cost more than the model.
        tracing={"excluded_urls": ".*"},
    )
    service = configured(Service)
    service.add_asgi_middleware(HotPath, service=lambda: current[-1] if current else None)
    return service
