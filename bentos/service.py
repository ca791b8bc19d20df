"""The online service as BentoML finds it in the Bento, beside the bundle it serves; all else is in `ringbound.serving`."""

from pathlib import Path

from ringbound.serving.service import build_service
from ringbound.serving.settings import ServiceSettings

Service = build_service(ServiceSettings.from_environment(Path(__file__).parent))
