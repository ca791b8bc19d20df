"""The online service: BentoML around the model bundle that lies beside this file in the Bento."""

import importlib
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import bentoml
import pydantic
from bentoml.images import Image

from ringbound.models.bundle import load_bundle
from ringbound.serving.predictor import MOST_ROWS, Predictor, answer_model

PREDICTOR = Predictor(load_bundle(Path(__file__).parent / "bundle"))
PACKAGE = PREDICTOR.bundle.facts["features"]["entry"].split(".")[0]
EXAMPLES = importlib.import_module(f"{PACKAGE}.package").EXAMPLES
# Exactly what the bundle was tested with. Serving needs neither pandas nor scikit-learn.
REQUIREMENTS = [f"{name}=={version(name)}" for name in ("bentoml", "numpy", "pydantic", "scipy", "treelite", "tzdata")]
IMAGE = Image(base_image="python:3.11-slim", distro="", python_version="3.11", lock_python_packages=False)

Row: Any = PREDICTOR.Row
Answer: Any = answer_model(PREDICTOR.bundle)
Rows = Annotated[
    list[Row],
    pydantic.Field(min_length=1, max_length=MOST_ROWS, description=f"1 to {MOST_ROWS} rows", examples=[EXAMPLES]),
]


class Answers(pydantic.BaseModel):
    """One answer a row, in the order of the rows."""

    predictions: list[Answer]


@bentoml.service(
    name="ringbound",
    description=f"Predictions by model {PREDICTOR.bundle.version}: online, 1 to {MOST_ROWS} rows a request.",
    image=IMAGE.python_packages(*REQUIREMENTS),
    traffic={"timeout": 10},
    logging={"access": {"enabled": False}},
    # Spans on every request, for a collector that is not there, cost more than the model.
    tracing={"excluded_urls": ".*"},
)
class Service:
    """Predictions for rows, online."""

    # A prediction takes less time than handing it to another thread would.
    @bentoml.api(route="/predict")
    async def predict(self, rows: Rows) -> Answers:
        """Answer each row with its probability and decision; a row that does not fit is refused with the reason."""
        return Answers(predictions=PREDICTOR.answer(rows))
