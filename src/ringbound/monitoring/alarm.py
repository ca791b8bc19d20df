"""What monitors find, and in words what may be behind columns that are not as they were."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ringbound.monitoring.bins import Bins
from ringbound.monitoring.days import Day
from ringbound.monitoring.profile import ANSWERS, REQUEST, Profile

Cause = Literal["data", "feed", "concept", "labels", "code", "load"]


@dataclass(frozen=True)
class Sign:
    """One thing that speaks for an alarm: a statistic of the day it came, beside what is usual: the median and the 95%."""

    subject: str
    kind: str
    value: float
    usual: float
    high: float
    weight: float


@dataclass(frozen=True)
class Alarm:
    """What a monitor has found: `name` says of what, like data/weather, `day` when the evidence was enough.

    `examples` are ids of predictions.
    """

    name: str
    day: str
    severity: Literal["critical", "warning"]
    says: str
    cause: Cause
    action: str
    signs: list[Sign] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)


def exceeds(sign: Sign) -> float:
    """Return how far out a sign is, for the order of signs."""
    return (sign.value - sign.usual) / (sign.high - sign.usual + 0.01)


def most_of(reasons: Mapping[str, int]) -> str:
    """Return the most frequent reasons, in words."""
    return ", ".join(f"{number:,} {reason}" for reason, number in sorted(reasons.items(), key=lambda one: -one[1])[:3])


def about_columns(
    profile: Profile, source: str, names: Sequence[str], of: int, kinds: Sequence[str], day: Day
) -> tuple[Cause, str, str]:
    """Return what may be behind columns of a source that are not as they were: the cause, in words, and what to do."""
    first = names[0]
    counts, bins = day.columns[first], profile.bins(first)
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    kind = kinds[0] if kinds else "moved"
    if source == ANSWERS:
        return (
            "data",
            "answers are distributed otherwise than in the weeks before",
            "see the alarms of data of these days",
        )
    if kind == "missing":
        share = counts.missing / max(1, counts.rows)
        says = f"{source}: {first}{more} of {of} columns lack values: {share:.1%} of {first}"
        if source != REQUEST and len(names) * 2 >= of:
            return "feed", says, f"see whether events of {source} still come: ringbound ops status"
        return "data", says, f"see what fills {first} where it comes from"
    if kind == "strange":
        share = counts.strange / max(1, sum(counts.bins))
        what = _strange(counts.texts, bins)
        says = f"{source}: {first}{more} has values that the model never learnt from: {share:.1%}{what}"
        return "data", says, "if they are right, the model has to learn them: retrain; if not, mend what sends them"
    says = f"{source}: {first}{more} is distributed otherwise than in the weeks before"
    return "data", says, f"see whether the unit, the clock or the meaning of {first} has changed where it comes from"


def _strange(texts: Mapping[str, int], bins: Bins) -> str:
    if texts:
        return f", {', '.join(repr(text) for text in list(texts)[:3])}"
    return f", outside of {bins.low:g} to {bins.high:g}"
