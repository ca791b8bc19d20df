"""How a roll-out goes: its steps, who gets the challenger's answers at each, and how far it has come, from the facts."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ringbound.errors import RolloutError
from ringbound.store import Arm, Fact

MOST_STEPS = 20


@dataclass(frozen=True)
class Plan:
    """What a roll-out goes by.

    `steps` are the shares of keys that get the challenger's answers, one after the other; 0 is shadow: nobody does, and it
    answers beside all the same. Each is kept for `hold_s` seconds and `rows` rows at least. `key` names the field of a row
    by which it keeps its arm; without one, equal rows do. `salt` mixes the keys anew for each roll-out.

    It stops where the challenger fails, is on a lower rung, or takes more than `slower` times as long, more often than the
    champion; where the two differ on more than a share `apart` of the rows, by their decisions or, where `differ` is given,
    by more than so much; and where its loss is greater. An equal challenger is stopped with a chance of at most `alpha`.
    With `promote`, it becomes the champion after the last step; else it stays there until the registry says so.
    """

    steps: tuple[float, ...] = (0.0, 0.05, 0.25, 1.0)
    hold_s: float = 3600.0
    rows: int = 1000
    key: str = ""
    salt: str = ""
    slower: float = 2.0
    apart: float = 0.25
    differ: float | None = None
    alpha: float = 0.05
    promote: bool = False

    def __post_init__(self):
        object.__setattr__(self, "steps", tuple(self.steps))
        if not 1 <= len(self.steps) <= MOST_STEPS or not all(0 <= share <= 1 for share in self.steps):
            raise RolloutError(f"steps: expected 1 to {MOST_STEPS} shares from 0 to 1; got {list(self.steps)}")
        if list(self.steps) != sorted(set(self.steps)):
            raise RolloutError(f"steps: expected each to be more than the one before; got {list(self.steps)}")
        if not 0 <= self.hold_s < 1e9 or self.rows < 0:
            raise RolloutError(
                f"steps: expected a time and rows to hold them for; got {self.hold_s} s, {self.rows} rows"
            )
        if not 1 < self.slower < 1e6 or not 0 < self.apart < 1 or not 0 < self.alpha < 0.5:
            raise RolloutError(
                "bounds: expected slower above 1, apart between 0 and 1 and alpha between 0 and 0.5; "
                f"got {self.slower}, {self.apart} and {self.alpha}"
            )
        if self.differ is not None and not self.differ > 0:
            raise RolloutError(f"bounds: expected answers to differ by more than 0; got {self.differ}")

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Any) -> "Plan":
        """Undo `to_json`; `RolloutError` for what another version of ringbound wrote, or is no plan."""
        if not isinstance(plain, Mapping) or set(plain) != {field.name for field in fields(cls)}:
            got = f"one with {sorted(plain)}" if isinstance(plain, Mapping) else "none"
            raise RolloutError(f"roll-out: expected a plan of this version of ringbound; got {got}")
        try:
            return cls(**plain)
        except TypeError as error:
            raise RolloutError(f"roll-out: expected a plan; {error}") from error

    def key_of(self, row: Mapping[str, Any]) -> str:
        """Return by what a row, as it was sent, keeps its arm: 7, 7.0 and the text 7 are one key.

        >>> [Plan(key="n").key_of({"n": value}) for value in (7, 7.0, "7", None)]
        ['7', '7', '7', 'None']
        """
        if not self.key:
            return json.dumps(row, sort_keys=True, default=str)
        value = row.get(self.key)
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    def arm(self, row: Mapping[str, Any], share: float) -> Arm:
        """Return whose answer a row gets: the same for its key in every process, also after another start.

        Who has got the challenger's answers gets them at greater shares too.

        >>> plan = Plan(key="who", salt="first")
        >>> [plan.arm({"who": name}, 0.5) for name in ("ann", "bob", "cid")]
        ['challenger', 'challenger', 'champion']
        """
        if share in (0.0, 1.0):
            return "challenger" if share else "champion"
        found = hashlib.sha256(f"{self.salt}\n{self.key_of(row)}".encode("utf-8", "surrogatepass")).digest()
        return "challenger" if int.from_bytes(found[:8]) < share * 2**64 else "champion"


@dataclass(frozen=True)
class Rollout:
    """A roll-out that is on: of a version, at a `step` of its plan since a time, in microseconds, and a number of pairs."""

    start: Fact
    plan: Plan
    step: int
    since: int
    pairs_before: int

    @property
    def share(self) -> float:
        """The share of keys that get the challenger's answers."""
        return self.plan.steps[self.step]


@dataclass(frozen=True)
class State:
    """What serves, by the facts: `champion` is the one by which it does, `last` the position of the last decision."""

    last: int = 0
    champion: Fact | None = None
    rollout: Rollout | None = None


def state_of(facts: Iterable[Fact]) -> State:
    """Return what serves after some facts, in their order.

    >>> fact = lambda seq, kind, version, **details: Fact(seq, "prod", seq, kind, version, "", version, details)
    >>> begun = [fact(1, "serve", "v1"), fact(2, "start", "v2", plan=Plan().to_json())]
    >>> stepped = [*begun, fact(3, "step", "v2", step=1, pairs=1200)]
    >>> state_of(begun).rollout.share, state_of(stepped).rollout.share, state_of(stepped).champion.version
    (0.0, 0.05, 'v1')
    >>> state_of([*stepped, fact(4, "serve", "v2")]).champion.version
    'v2'
    """
    last = 0
    champion: Fact | None = None
    start: Fact | None = None
    step: Fact | None = None
    for fact in facts:
        if fact.kind not in ("serve", "start", "step", "stop"):
            continue
        last = fact.seq
        if fact.kind == "serve":
            champion, start = fact, None
        elif fact.kind == "stop":
            start = None
        elif fact.kind == "start":
            start, step = fact, None
        else:
            step = fact
    if start is None:
        return State(last, champion)
    try:
        plan = Plan.from_json(start.details.get("plan"))
    except RolloutError:  # another version of ringbound began it, and alone can go on with it
        return State(last, champion)
    number, pairs = (step.details.get(name) for name in ("step", "pairs")) if step else (0, 0)
    if (
        step is None
        or not isinstance(number, int)
        or not isinstance(pairs, int)
        or number not in range(len(plan.steps))
    ):
        return State(last, champion, Rollout(start, plan, 0, start.at, 0))
    return State(last, champion, Rollout(start, plan, number, step.at, pairs))
