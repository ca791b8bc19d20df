"""Services to hold ours against, one a process: `python peers.py NAME PORT FOLDER`. Each answers a row in its own usual way.

bare     the same work as ours, on uvicorn alone: what BentoML costs
bentoml  the scikit-learn model behind a plain `@bentoml.api`: no features, no ladder, no record
fastapi  the scikit-learn model behind a plain FastAPI route
mlflow   the scikit-learn model behind MLflow's own scorer
"""

import os
import sys
from pathlib import Path


def bare(port: int, folder: Path) -> None:
    import gc

    import uvicorn

    from ringbound.models.bundle import load_bundle
    from ringbound.serving.hot_path import HotPath
    from ringbound.serving.routes import Serving
    from ringbound.serving.settings import ServiceSettings

    models = Path(os.environ["RINGBOUND_MODELS"])
    settings = ServiceSettings(models, f"sqlite:///{folder}/store.db", clock="event")
    serving = Serving(load_bundle(models), settings)
    gc.collect()
    gc.freeze()
    uvicorn.run(HotPath(None, lambda: serving), port=port, log_level="error", access_log=False, lifespan="off")


def plain_bentoml(port: int, folder: Path) -> None:
    (folder / "plain.py").write_text(
        "import bentoml, joblib\n"
        "import numpy as np\n\n\n"
        "@bentoml.service\n"
        "class Plain:\n"
        "    def __init__(self):\n"
        "        self.model = joblib.load('model.joblib')\n\n"
        "    @bentoml.api\n"
        "    def predict(self, rows: list[list[float | None]]) -> list[float]:\n"
        "        return self.model.predict_proba(np.array(rows, float))[:, 1].tolist()\n"
    )
    os.chdir(folder)
    environment = os.environ | {"BENTOML_HOME": str(folder / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-m", "bentoml", "serve", "plain:Plain", "--host", "127.0.0.1", "--port", str(port)]
    os.execve(sys.executable, command, environment)


def fastapi(port: int, folder: Path) -> None:
    import joblib
    import numpy as np
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Asked(BaseModel):
        rows: list[list[float | None]]

    app, model = FastAPI(), joblib.load(folder / "model.joblib")

    @app.post("/predict")
    def predict(asked: Asked) -> list[float]:
        return model.predict_proba(np.array(asked.rows, float))[:, 1].tolist()

    uvicorn.run(app, port=port, log_level="error", access_log=False)


def mlflow(port: int, folder: Path) -> None:
    import joblib
    import mlflow.sklearn

    saved = folder / "mlflow"
    if not saved.exists():
        mlflow.sklearn.save_model(joblib.load(folder / "model.joblib"), str(saved), serialization_format="cloudpickle")
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        str(saved),
        "-p",
        str(port),
        "--env-manager",
        "local",
    ]
    found = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it calls uvicorn by its name
    os.execve(sys.executable, command, os.environ | {"PATH": found})


if __name__ == "__main__":
    {"bare": bare, "bentoml": plain_bentoml, "fastapi": fastapi, "mlflow": mlflow}[sys.argv[1]](
        int(sys.argv[2]), Path(sys.argv[3])
    )
