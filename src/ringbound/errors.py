"""Errors a user can act on. Each message says what was expected, what came and what to do, in one line."""


class RingboundError(Exception):
    """Base of every error that is shown to a user without a traceback."""


class WorkspaceError(RingboundError):
    """A path, a setting or an input that the workspace should have is not there."""


class RecordError(RingboundError):
    """A file that one part of the system writes for another is missing, damaged, in conflict or of an older format."""


class NotebookError(RingboundError):
    """A notebook cannot be run as a stage: parameters, tags or exported module are not in order."""


class StageError(RingboundError):
    """A stage ran and failed; its executed notebook is kept."""


class SourceError(RingboundError):
    """A source cannot be read as a whole: unreachable, unreadable, cut short or of another shape."""


class ContractError(RingboundError):
    """Too large a share of a table's rows breaks its contract."""


class FeatureError(RingboundError):
    """A feature's declaration or its inputs do not fit."""


class ProblemError(RingboundError):
    """The declaration of a problem contradicts itself, or the data."""


class ModelError(RingboundError):
    """A search, an evaluation or a comparison is asked for what it cannot give."""


class RegistryError(RingboundError):
    """A version or a stage is not there, or may not be changed in this way."""


class RolloutError(RingboundError):
    """A roll-out cannot be started or followed, or its plan is none."""


class BundleError(RingboundError):
    """A model bundle is damaged, or was made for other features than the ones installed."""


class InputError(RingboundError):
    """Rows given for prediction do not fit the declared request."""


class StoreError(RingboundError):
    """The operational store cannot be reached, or what it holds does not fit."""


class NotAValueError(RingboundError, ValueError):
    """What came is no value of the kind that is declared."""


def one_line(error: BaseException, limit: int = 600) -> str:
    """Return the error's message on one line, at most `limit` characters long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
