"""From the registry to the services: a version's Bento and the fact that it is to serve, in the store that they follow."""

import re
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from ringbound.errors import BundleError, RegistryError, RolloutError
from ringbound.models.facts import read_facts
from ringbound.release.registry import Registry, fetch_version
from ringbound.rollout.plan import Plan, State, state_of
from ringbound.serving.version import INSIDE, other_machinery, unpacked
from ringbound.store import Fact, Store, instant
from ringbound.workspace import layout


@dataclass(frozen=True)
class Published:
    """A version as services get it: its name in the registry, its model, and the version and the bytes of its Bento."""

    version: str
    model: str
    code: str
    archive: bytes

    @property
    def about(self) -> dict[str, Any]:
        """What a fact says of it."""
        return {"version": self.version, "model": self.model, "code": self.code}


def version_to_publish(registry: Registry, name: str) -> Published:
    """Return a version, or what an environment has, fetched and checked to be it."""
    entry = registry.version(name)
    folder = fetch_version(registry, entry.version)
    archive = (folder / layout.BENTO).read_bytes()
    return Published(entry.version, read_facts(folder / layout.MODELS).model.version, bento_version(archive), archive)


def bento_version(archive: bytes) -> str:
    """Return the version of a Bento; `BundleError` where the archive is none."""
    try:
        with tarfile.open(fileobj=BytesIO(archive)) as packed:
            file = packed.extractfile("bento.yaml")
            found = re.search(r"^version: (\S+)$", file.read().decode() if file else "", re.M)
    except (tarfile.TarError, KeyError, OSError, ValueError) as error:
        raise BundleError(f"expected the archive of a Bento; {error}") from error
    if not found:
        raise BundleError("expected a Bento with a version; bento.yaml names none")
    return found[1]


def state(store: Store, environment: str) -> State:
    """Return what the services of an environment are to serve now."""
    return state_of(store.facts(environment, looks=False))


def publish(store: Store, environment: str, version: Published, why: str, *, last: int | None = None) -> None:
    """Let the services that follow an environment serve a version; a roll-out that is on there ends."""
    store.put_bento(version.code, version.archive)
    if store.add_fact(environment, "serve", details={"why": why}, last=last, **version.about) is None:
        raise RolloutError(f"{environment}: something else was decided just now; look at ringbound rollout status")


def begin(store: Store, registry: Registry, environment: str, name: str, plan: Plan) -> Fact:
    """Begin the roll-out of a version beside what an environment has; `RolloutError` says why it cannot be."""
    challenger = version_to_publish(registry, name)
    now = state(store, environment)
    if now.rollout:
        raise RolloutError(f"{environment}: a roll-out of {now.rollout.start.version} is on; let it end, or stop it")
    if now.champion is None and registry.holder(environment) is None:
        raise RolloutError(f"{environment}: expected a version that serves; there is none; promote one first")
    champion = None if now.champion else version_to_publish(registry, environment)
    code = champion.code if champion else now.champion.code if now.champion else ""
    if code == challenger.code:
        raise RolloutError(f"{environment}: {challenger.version} serves already")
    if others := differing_machinery(champion.archive if champion else store.bento(code), challenger.archive):
        raise RolloutError(
            f"{environment}: expected two versions on one machinery; {len(others)} modules differ, like {others[0]}; "
            "start the services anew with this version instead"
        )
    if plan.promote and (objection := registry.objection(registry.version(name), environment)):
        raise RolloutError(f"{name} may not be promoted in {environment}: {objection}; leave --promote out")
    if champion:
        publish(store, environment, champion, "as the registry has it", last=now.last)
        now = state(store, environment)
    store.put_bento(challenger.code, challenger.archive)
    details: Mapping[str, Any] = {"plan": plan.to_json(), "beside": code}
    seq = store.add_fact(environment, "start", details=details, last=now.last, **challenger.about)
    if seq is None:
        raise RolloutError(f"{environment}: something else was decided just now; look at ringbound rollout status")
    return next(fact for fact in store.facts(environment, seq - 1) if fact.seq == seq)


def settle(store: Store, registry: Registry, environment: str) -> str:
    """Give the environment in the registry what a roll-out has promoted; return the version, nothing where they agree."""
    now, held = state(store, environment).champion, registry.holder(environment)
    if now is None and held is None:
        raise RolloutError(
            f"{environment}: expected an environment that has something; neither registry nor store know of any"
        )
    if now is None or (held and held.version == now.version):
        return ""
    if "evidence" not in now.details or (held and held.time > now.at / 1e6):
        raise RegistryError(
            f"registry: {environment} has {held.version if held else 'nothing'}, while {now.version} serves since "
            f"{instant(now.at)[:19]} ({now.details.get('why')}), which no roll-out has promoted since the registry changed; "
            'fetch its tags, or run "ringbound rollout publish" to serve what it has'
        )
    registry.promote(now.version, environment, reason=f"{now.details['why']}: see ringbound rollout history")
    return now.version


def differing_machinery(first: bytes, second: bytes) -> list[str]:
    """Return the modules of ringbound in the second of two Bentos that are not, to the byte, in the first."""
    with tempfile.TemporaryDirectory() as place:
        one, other = unpacked(first, Path(place) / "first"), unpacked(second, Path(place) / "second")
        return other_machinery(other / INSIDE, one / INSIDE / "ringbound")
