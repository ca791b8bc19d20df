"""An arm of a service: a bundle that answers, with a thread of its own; champion and challenger are one each."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import pydantic

from ringbound.errors import InputError, StoreError
from ringbound.features.live import LiveFeatures
from ringbound.models.bundle import Bundle
from ringbound.rollout.plan import Rollout
from ringbound.serving.gather import Gatherer
from ringbound.serving.predictor import MOST_ROWS, Asked, Predictor
from ringbound.serving.recorder import MOST_UNRECORDED
from ringbound.serving.request import row_model, validated
from ringbound.serving.settings import ServiceSettings
from ringbound.store import Store
from ringbound.workspace.isolated import IsolatedPackages

WAIT_S = 2.0
"""How long the store is waited for, for a connection or a lock."""
LOG = logging.getLogger(__name__)


class Arm:
    """A bundle that answers rows as they came, by the version `code` of its Bento.

    `users` is how many requests may still come to it. `beside` is an arm that runs already: where it looks back on the same
    features, both keep them up together. `packages` is the code of the bundle's problem, where that is not what is installed,
    and `folder` where it lies as long as it is used.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: ServiceSettings,
        code: str,
        *,
        beside: "Arm | None" = None,
        packages: IsolatedPackages | None = None,
        folder: TemporaryDirectory | None = None,
    ):
        self.bundle = bundle
        self.code = code
        self.users = 0
        self.Row = row_model(bundle.features.asked)
        self._settings = settings
        self._packages = packages
        self._folder = folder
        shared: LiveFeatures | None = (
            beside.predictor.live if beside and beside.bundle.features.hash == bundle.features.hash else None
        )
        self.predictor: Predictor = Predictor(bundle, shared, open_live=self._open_live, code=code)
        try:
            self.predictor.open()
        except StoreError as error:
            LOG.error("%s; answering from the rungs below until it can be", error)
        self.predictor.warm_up()
        self.gatherer = Gatherer(
            self.predictor.answer,
            self.predictor.step_down,
            lambda: self.predictor.doing,
            deadline_s=settings.deadline_ms / 1000,
            most=MOST_ROWS,
            give_up=_give_up,
            idle=self.predictor.rest,
        )

    def _open_live(self) -> LiveFeatures:
        settings, own = self._settings, self.bundle.features.hash
        snapshot = settings.snapshot
        if self._packages and snapshot:  # that of the installed features is not to be taken from who has them
            snapshot = snapshot.with_name(f"{snapshot.stem}-{own}{snapshot.suffix}")
        store = Store(settings.store, wait_s=WAIT_S, archive=settings.archive)
        return LiveFeatures(self.bundle.features, store, clock=settings.present, snapshot=snapshot)

    def validated(self, row: Any, number: int) -> pydantic.BaseModel:
        """Return a row that can be answered; `InputError` says what does not fit."""
        (found,) = validated(self.Row, [row], "row", number)
        if why := self.predictor.refusal(found):
            raise InputError(f"row {number}: {why}")
        return found

    def flush(self) -> bool:
        """Record what was answered and could not be recorded then; return whether all is."""
        self.predictor.flush(most=MOST_UNRECORDED)
        return not self.predictor.recorder.waiting

    def stop(self, within_s: float) -> bool:
        """Answer who waits, record all, and take no more; return whether that came to its end within the time."""
        return self.gatherer.stop(within_s) and self.flush()  # else its thread is at the store still

    def forget(self, others: Sequence["Arm"]) -> None:
        """Let go of what it has of its own: the connections that none of the `others` uses too, and the code."""
        live = self.predictor.live
        if live is not None and all(other.predictor.live is not live for other in others):
            live.store.close()
        if self._packages:
            self._packages.leave()
        if self._folder:
            self._folder.cleanup()


@dataclass(frozen=True)
class Arms:
    """Who answers now: the `champion` and, while a roll-out is on, the `challenger`, to those keys that its share says."""

    champion: Arm
    challenger: Arm | None = None
    rollout: Rollout | None = None

    @property
    def all(self) -> list[Arm]:
        """The one or both."""
        return [self.champion, *([self.challenger] if self.challenger else [])]

    @contextmanager
    def in_use(self) -> Iterator["Arms"]:
        """Keep the arms until a request is answered, all of it on the event loop."""
        for arm in self.all:
            arm.users += 1
        try:
            yield self
        finally:
            for arm in self.all:
                arm.users -= 1

    def of(self, row: Any) -> Arm:
        """Return whose answer a row as it came gets."""
        if self.challenger and self.rollout and isinstance(row, Mapping):
            with suppress(RecursionError):  # of a row that will be refused
                if self.rollout.plan.arm(row, self.rollout.share) == "challenger":
                    return self.challenger
        return self.champion


def _give_up(asked: Sequence[Asked]) -> None:
    for one in asked:
        one.given_up = True
