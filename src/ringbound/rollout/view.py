"""A roll-out for people: how it stands, and how the evidence against the challenger has gone, in a terminal and on a page."""

from collections.abc import Sequence
from html import escape
from typing import Any

from ringbound.errors import RolloutError
from ringbound.rollout.judge import GATES
from ringbound.rollout.plan import Plan, State, state_of
from ringbound.store import Fact, instant

BARS = "▁▂▃▄▅▆▇█"
COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#e15759")
SHOWN = 40
"""Looks that a terminal has room for."""


def weights(facts: Sequence[Fact], start: int) -> list[tuple[int, dict[str, float]]]:
    """Return what was known of a roll-out when: the number of rows, and each gate's evidence as a share of what stops it."""
    found = []
    for fact in facts:
        told = _evidence(fact)
        if fact.seq > start and told:
            found.append((told["pairs"], {one["gate"]: one["weight"] for one in told["findings"]}))
    return found


def bars(values: Sequence[float]) -> str:
    """Return values from 0 to 1 as a line of bars; more than 1 is a mark.

    >>> bars([0.0, 0.5, 1.0, 1.2])
    '▁▅█!'
    """
    return "".join("!" if v > 1 else BARS[round(v * 7)] for v in values)


def last_start(facts: Sequence[Fact]) -> int | None:
    """Return the place among facts of the last roll-out's start, whether it is on or has ended; None for none."""
    return next((i for i in reversed(range(len(facts))) if facts[i].kind == "start"), None)


def status_lines(facts: Sequence[Fact]) -> list[str]:
    """Return how an environment stands: what serves, and the roll-out that is on or was the last."""
    now, begun = state_of(facts), last_start(facts)
    lines = [f"serves     {_served(now)}"]
    if begun is None:
        return [*lines, "roll-out   none yet"]
    start, plan = facts[begun], _plan(facts[begun])
    lines += [f"roll-out   {start.version} (model {start.model}), {_stands(now, facts[begun:])}"]
    if plan:
        lines += [f"steps      {steps_of(plan, now)}, each for {plan.hold_s:g} s and {plan.rows:,} rows"]
    series = weights(facts, start.seq)
    findings = _latest(facts[begun:])
    if not findings:
        return [*lines, "evidence   no rows yet"]
    lines += [f"rows       {series[-1][0]:,} answered by both"]
    for gate in (name for name in GATES if name in findings):
        line = bars([weight.get(gate, 0.0) for _, weight in series[-SHOWN:]])
        one = findings[gate]
        lines += [f"{gate:<10} {one['weight']:>5.0%} {line}  {one['says']}"]
    return [*lines, "           evidence against the challenger, as a share of what stops it"]


def steps_of(plan: Plan, now: State) -> str:
    """Return a plan's steps, the one that it is at marked."""
    at = now.rollout.step if now.rollout else None
    return " → ".join(f"[{_share(share)}]" if i == at else _share(share) for i, share in enumerate(plan.steps))


def history_lines(facts: Sequence[Fact]) -> list[str]:
    """Return what was decided, one line each."""
    lines = []
    for fact in facts:
        if fact.kind != "look":
            seen = _evidence(fact)
            known = ", ".join(f"{one['gate']} {one['weight']:.0%}" for one in seen["findings"]) if seen else ""
            says = f"{_says(fact)} [{seen['pairs']:,} rows: {known}]" if seen else _says(fact)
            lines.append(f"{instant(fact.at)[:19]}  {fact.kind:<5}  {fact.version:<5} {says}".rstrip())
    return lines


def page(environment: str, facts: Sequence[Fact]) -> str:
    """Return an HTML page of how an environment stands, without anything from elsewhere."""
    begun = last_start(facts)
    chart = _chart(weights(facts, facts[begun].seq)) if begun is not None else ""
    rows = "".join(
        f"<tr><td>{instant(f.at)[:19]}</td><td>{escape(f.kind)}</td><td>{escape(f.version)}</td><td>{escape(_says(f))}</td></tr>"
        for f in reversed([fact for fact in facts if fact.kind != "look"])
    )
    lines = escape("\n".join(status_lines(facts)))
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(environment)}: what serves</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
pre {{ background: #f6f6f4; padding: 1rem; overflow-x: auto; font-size: 13px }} svg {{ width: 100%; height: auto }}
table {{ border-collapse: collapse; width: 100% }} td, th {{ text-align: left; padding: .3rem .6rem .3rem 0;
border-top: 1px solid #ddd; vertical-align: top }} td:first-child {{ white-space: nowrap }}
</style><h1>{escape(environment)}</h1><pre>{lines}</pre>{chart}<h2>What was decided</h2>
<table><tr><th>when, UTC</th><th>what</th><th>version</th><th>why</th></tr>{rows}</table></html>
"""


def _chart(series: Sequence[tuple[int, dict[str, float]]]) -> str:
    """Return each gate's evidence over the rows as a figure; it is stopped at the line."""
    if not series:
        return ""
    width, height, left, top = 760, 240, 40, 30
    most = max(1, series[-1][0])
    x = lambda rows: left + (width - left - 90) * rows / most  # noqa: E731
    y = lambda weight: top + (height - top - 30) * (1 - min(weight, 1.2) / 1.2)  # noqa: E731
    parts = [
        f'<line x1="{left}" x2="{width - 90}" y1="{y(1):.1f}" y2="{y(1):.1f}" stroke="#c00" stroke-dasharray="4 3"/>',
        f'<text x="{width - 84}" y="{y(1) + 4:.1f}" fill="#c00">stop</text>',
        f'<line x1="{left}" x2="{width - 90}" y1="{y(0):.1f}" y2="{y(0):.1f}" stroke="#999"/>',
        f'<text x="{width - 90}" y="{height - 8}" text-anchor="end">{most:,} rows</text>',
        f'<text x="{left}" y="{height - 8}">0</text>',
    ]
    for number, gate in enumerate(GATES):
        points = " ".join(
            f"{x(rows):.1f},{y(weight.get(gate, 0.0)):.1f}" for rows, weight in [(0, {gate: 0.0}), *series]
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[number]}" stroke-width="2"/>')
        parts.append(f'<text x="{left + 110 * number}" y="16" fill="{COLOURS[number]}">{gate}</text>')
    inside = "".join(parts)
    return (
        "<h2>Evidence against the challenger, as a share of what stops it</h2>"
        f'<svg viewBox="0 0 {width} {height}" font-size="13" role="img" aria-label="evidence by rows">{inside}</svg>'
    )


def _latest(facts: Sequence[Fact]) -> dict[str, dict[str, Any]]:
    told = next((told for fact in reversed(facts) if (told := _evidence(fact))), None)
    return {one["gate"]: one for one in told["findings"]} if told else {}


def _evidence(fact: Fact) -> dict[str, Any] | None:
    """Return what was known when a fact was; None where it says nothing of that, or in other words."""
    told = fact.details if fact.kind == "look" else fact.details.get("evidence")
    try:
        known = isinstance(told, dict) and all({*one} >= {"gate", "says", "weight"} for one in told["findings"])
    except (KeyError, TypeError):
        known = False
    return told if known else None


def _plan(fact: Fact) -> Plan | None:
    """Return the plan of a roll-out's start; None where another version of ringbound made it."""
    try:
        return Plan.from_json(fact.details.get("plan"))
    except RolloutError:
        return None


def plain(text: Any) -> str:
    """Return what somebody wrote as one line that can be printed anywhere.

    >>> plain("a\nb\x1b[31m")
    'a b?[31m'
    """
    one = " ".join(str(text).split()).encode("utf-8", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in one)


def _served(now: State) -> str:
    one = now.champion
    return f"{one.version} (model {one.model}) since {instant(one.at)[:19]}" if one else "what it was started with"


def _stands(now: State, since: Sequence[Fact]) -> str:
    if now.rollout:
        share = now.rollout.share
        return f"on, {'in shadow' if share == 0 else f'for {_share(share)} of keys'} since {instant(now.rollout.since)[:19]}"
    ended = next((fact for fact in since if fact.kind in ("stop", "serve")), None)
    if ended is None:
        return "on, by another version of ringbound"
    if ended.kind == "serve":
        return (
            f"{'promoted' if ended.code == since[0].code else 'ended by another version'} at {instant(ended.at)[:19]}"
        )
    return f"stopped at {instant(ended.at)[:19]}: {plain(ended.details.get('why', ''))}"


def _says(fact: Fact) -> str:
    if fact.kind == "start":
        found = _plan(fact)
        return f"beside the champion: {steps_of(found, State())}" if found else "beside the champion"
    if fact.kind == "step":
        return f"step {fact.details.get('step', 0) + 1}, after {fact.details.get('pairs', 0):,} rows"
    return plain(fact.details.get("why", ""))


def _share(share: float) -> str:
    return f"{share * 100:.4g}%" if share else "shadow"
