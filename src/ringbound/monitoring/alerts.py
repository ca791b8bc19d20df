"""The life of alerts: opened by monitors, coming again, acknowledged and resolved by people, or resolved by quiet days."""

import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

from ringbound.errors import StoreError
from ringbound.monitoring.alarm import Alarm
from ringbound.store import AlertFact, Store

QUIET_DAYS = 14
"""Days without another alarm after which an alert is resolved by itself."""
RECURS_DAYS = 28
"""Within so many days of being resolved, what opens again is recurring."""
State = Literal["open", "acknowledged", "resolved"]


@dataclass(frozen=True)
class Alert:
    """One life of an alert: `opened` and `last` are the days on which it was found first and last, `times` how often.

    `found` is what was found last; `told` says whether a webhook has been told; `position` is that of its last fact.
    """

    name: str
    state: State
    opened: str
    last: str
    times: int
    recurring: bool
    found: dict[str, Any]
    position: int
    told: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def severity(self) -> str:
        """Critical or warning."""
        return str(self.found.get("severity", "warning"))

    @property
    def says(self) -> str:
        """What was found, in words."""
        return str(self.found.get("says", ""))


def alerts_of(facts: Sequence[AlertFact]) -> list[Alert]:
    """Return all lives of all alerts, in the order in which they were opened."""
    lives: list[dict[str, Any]] = []
    now: dict[str, dict[str, Any]] = {}
    for fact in facts:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", fact.day):
            continue  # nobody can have said so
        life = now.get(fact.name)
        if fact.kind == "open":
            again = life is not None and _days_between(life["ended"] or life["last"], fact.day) <= RECURS_DAYS
            life = {"name": fact.name, "state": "open", "opened": fact.day, "times": 0, "recurring": again, "notes": []}
            life |= {"told": False, "ended": ""}
            now[fact.name] = life
            lives.append(life)
        if life is None:
            continue
        if fact.kind == "told":
            life["told"] |= fact.details.get("opened") == life["opened"]
            continue
        life["position"] = fact.seq
        if fact.kind in ("open", "again"):
            life |= {"last": fact.day, "found": fact.details, "times": life["times"] + 1}
        else:
            says = " ".join(str(fact.details.get(part, "")) for part in ("who", "why")).strip()
            life["notes"].append(f"{fact.kind}d: {says}")
            life["state"] = "acknowledged" if fact.kind == "acknowledge" else "resolved"
            life["ended"] = fact.day if fact.kind == "resolve" else ""
    return [Alert(**{name: value for name, value in life.items() if name != "ended"}) for life in lives]


def standing(alerts: Sequence[Alert]) -> dict[str, Alert]:
    """Return the last life of each alert, by name."""
    return {alert.name: alert for alert in alerts}


def note_alarms(store: Store, alarms: Sequence[Alarm], settled: Collection[str], through: str) -> list[Alert]:
    """Write down what monitors found up to a day; return the alerts that it opened.

    The same alarms, found once more, change nothing. Those that are `settled`, and have raised nothing for two weeks, are
    resolved.
    """
    opened = []
    for alarm in sorted(alarms, key=lambda one: one.day):
        life = standing(alerts_of(store.alert_facts())).get(alarm.name)
        if life is not None and alarm.day <= life.last:
            continue
        if life is not None and life.state == "resolved" and alarm.day <= _end_of(store, alarm.name):
            continue
        kind: Literal["open", "again"] = "open" if life is None or life.state == "resolved" else "again"
        added = store.add_alert(alarm.name, alarm.day, kind, asdict(alarm), after=life.position if life else 0)
        if kind == "open" and added is not None:
            opened.append(alarm.name)
    for life in standing(alerts_of(store.alert_facts())).values():
        if life.state != "resolved" and life.name in settled and _days_between(life.last, through) >= QUIET_DAYS:
            why = {"who": "monitor", "why": f"for {QUIET_DAYS} days it has been as usual"}
            store.add_alert(life.name, through, "resolve", why, after=life.position)
    stand = standing(alerts_of(store.alert_facts()))
    return [stand[name] for name in dict.fromkeys(opened)]


def change(store: Store, name: str, kind: Literal["acknowledge", "resolve"], who: str, why: str, day: str) -> Alert:
    """Acknowledge or resolve an alert; `StoreError` where there is none that stands."""
    stands = standing(alerts_of(store.alert_facts()))
    life = stands.get(name)
    if life is None or life.state == "resolved":
        there = [one.name for one in stands.values() if one.state != "resolved"]
        raise StoreError(f"alerts: expected one that is open, of {there or 'which there are none'}; got {name!r}")
    if store.add_alert(name, day, kind, {"who": who, "why": why}, after=life.position) is None:
        raise StoreError(f"alerts: {name}: something else was said of it just now; look at ringbound alerts")
    return standing(alerts_of(store.alert_facts()))[name]


def _end_of(store: Store, name: str) -> str:
    """Return the day on which an alert was resolved last."""
    return max((fact.day for fact in store.alert_facts() if fact.name == name and fact.kind == "resolve"), default="")


def _days_between(first: str, second: str) -> int:
    return (date.fromisoformat(second) - date.fromisoformat(first)) // timedelta(days=1)
