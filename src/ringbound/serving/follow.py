"""Serving what the store says that an environment has: promotions, rollbacks and roll-outs, while requests come."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

from ringbound.errors import RingboundError, RolloutError, StoreError, one_line
from ringbound.rollout.judge import GATES, Judge
from ringbound.rollout.plan import State, state_of
from ringbound.serving.arm import Arm, Arms
from ringbound.serving.beside import Beside
from ringbound.serving.counters import AGAINST
from ringbound.serving.settings import ServiceSettings
from ringbound.serving.version import load_arm
from ringbound.store import WALL, Fact, Store

LOG = logging.getLogger(__name__)


LOAD_S = 60.0
"""How long a version may take to load."""


class Following(Protocol):
    """A service whose arms can be swapped."""

    arms: Arms
    beside: Beside | None

    @property
    def store(self) -> Store:
        """Its store."""
        ...

    def swap(self, arms: Arms) -> None:
        """Let other arms answer."""
        ...


class Follower:
    """Keeps a service at what its environment has: `follow` loads and swaps, `judge` looks at a roll-out, again and again."""

    def __init__(self, service: Following, settings: ServiceSettings):
        self._service = service
        self._settings = settings
        self._facts: list[Fact] = []
        self._state = State()
        self._done = 0
        self._judge: Judge | None = None

    def follow(self) -> None:
        """Serve what the facts say now; what cannot be loaded leaves the service as it is, and is said."""
        last = self._facts[-1].seq if self._facts else 0
        self._facts += self._service.store.facts(self._settings.environment, last, looks=False)
        self._state = state = state_of(self._facts)
        if state.last == self._done:
            return
        champion = self._loaded(state.champion) if state.champion else None
        champion = champion or self._service.arms.champion
        if champion is not self._service.arms.champion:  # first: a challenger may take its time, or fail
            self._swap(Arms(champion), state)
        challenger = None
        if state.rollout and (state.champion is None or champion.code == state.champion.code):
            challenger = self._loaded(state.rollout.start, challenges=True)
        arms = Arms(champion, challenger, state.rollout if challenger else None)
        if arms != self._service.arms:
            self._swap(arms, state)
        self._done = state.last

    def _swap(self, arms: Arms, state: State) -> None:
        self._service.swap(arms)
        LOG.warning("%s: %s", self._settings.environment, _says(state, arms))

    def _loaded(self, fact: Fact, *, challenges: bool = False) -> Arm | None:
        """Return the arm that a fact names, loaded if it is none of those that answer; None where it cannot be.

        What may pass, as a store or a disk that is away, is raised, and tried again.
        """
        arms = self._service.arms
        for arm in arms.all:
            if arm.code == fact.code:
                return arm
        archive = self._service.store.bento
        try:
            return within(LOAD_S, lambda: load_arm(archive(fact.code), fact.code, self._settings, arms.champion))
        except (StoreError, OSError, MemoryError):
            raise
        except BaseException as error:  # whatever lies in a Bento
            says = (
                one_line(error) if isinstance(error, RingboundError) else f"{type(error).__name__}: {one_line(error)}"
            )
            LOG.error("%s cannot be served: %s", fact.version, says)
            if challenges:
                self._stop(fact, f"it cannot be loaded: {says}")
            return None

    def _stop(self, start: Fact, why: str) -> None:
        about: dict[str, Any] = {"version": start.version, "model": start.model, "code": start.code}
        self._service.store.add_fact(start.environment, "stop", details={"why": why}, last=self._state.last, **about)

    def judge(self) -> None:
        """Write what both arms have answered, and act on what is known of the challenger."""
        store, rollout, beside = self._service.store, self._service.arms.rollout, self._service.beside
        if rollout is None or beside is None:
            if self._judge:
                for gate in GATES:
                    AGAINST.labels(gate=gate).set(0)
            self._judge = None
            return
        beside.flush(store)
        if self._judge is None or self._judge.start != rollout.start.seq:
            self._judge = Judge(store, rollout, self._service.arms.champion.bundle.task)
        state = self._state
        if state.rollout is None or state.rollout.start.seq != rollout.start.seq:
            return  # it has ended: the service is about to follow
        decision = self._judge.act(state, WALL.now())
        for finding in self._judge.evidence.findings(rollout.plan):
            AGAINST.labels(gate=finding.gate).set(finding.weight)
        if decision:
            says = decision.details.get("why") or f"after {decision.details.get('pairs', 0):,} rows"
            LOG.warning("roll-out of %s: %s: %s", rollout.start.version, decision.kind, says)


def _says(state: State, arms: Arms) -> str:
    champion: Any = state.champion.version if state.champion else arms.champion.bundle.version
    if not arms.rollout:
        return f"{champion} answers"
    return f"{champion} answers, and {arms.rollout.start.version} to {arms.rollout.share:.0%}"


def within(seconds: float, call: Callable[[], Arm]) -> Arm:
    """Return what a call makes, in a thread that is left behind where it takes longer: code of others may hang."""
    done: list[Arm] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(call())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="load", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise RolloutError(f"expected a version that loads within {seconds:g} s; it takes longer")
    return done[0]
