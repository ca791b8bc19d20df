"""A roll-out for people: how it stands, and how the evidence against the challenger has gone, in a terminal and on a page."""

from collections.abc import Sequence
from html import escape
from typing import Any

from ringbound.errors import RolloutError
from ringbound.rollout.judge import GATES
from ringbound.rollout.plan import Plan, State, state_of
from ringbound.store import WALL, Fact, instant

BARS = "▁▂▃▄▅▆▇█"
COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#e15759")
CLOSE = 0.5
"""The share of what stops a roll-out from which it is said to be close."""
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


def status_lines(facts: Sequence[Fact], now: int | None = None) -> list[str]:
    """Return how an environment stands at a time, by default now: first what to make of it, and what can be done."""
    stands, begun = state_of(facts), last_start(facts)
    lines = [f"serves     {_served(stands)}"]
    if begun is None:
        return [*lines, "roll-out   none yet: ringbound rollout start"]
    since = facts[begun:]
    start, plan, known = since[0], _plan(since[0]), _last_evidence(since)
    lines = [f"{_verdict(stands, since, known, WALL.now() if now is None else now)}", "", *lines]
    lines += [f"roll-out   {start.version} (model {start.model}), begun {instant(start.at)[:19]} UTC"]
    if plan:
        lines += [f"steps      {steps_of(plan, stands)}, each for {plan.hold_s:g} s and {plan.rows:,} rows at least"]
        lines += [
            f"keys       by {plan.key or 'the whole row'}; after the last step {'it serves' if plan.promote else 'it stays'}"
        ]
    if known is None:
        return [*lines, "evidence   none: no service has answered by both; see its log, where this lasts"]
    told = f"{known.get('answered', 0):,} of them to who asked by {start.version}"
    lines += [f"rows       {known['pairs']:,} answered by both, {told}"]
    lines += ["", "against it, as a share of what stops it"]
    series, findings = weights(facts, start.seq), {one["gate"]: one for one in known["findings"]}
    for gate in (name for name in GATES if name in findings):
        line = bars([weight.get(gate, 0.0) for _, weight in series[-SHOWN:]])
        one = findings[gate]
        share = "    –" if gate == "loss" and not known.get("matured") else f"{one['weight']:>5.0%}"
        lines += [f"{gate:<10} {share} {line}  {one['says']}"]
    return lines


def _verdict(stands: State, since: Sequence[Fact], known: dict[str, Any] | None, now: int) -> str:
    """Return what to make of a roll-out, in a line, and what can be done."""
    start, on = since[0], stands.rollout
    if on is None:
        return f"{start.version}: {_ended(since)}"
    to = "in shadow" if on.share == 0 else f"for {_share(on.share)} of keys"
    if known is None:
        return f"{start.version} is on, {to}, and nothing is known of it yet"
    worst = max(known["findings"], key=lambda one: one["weight"])
    health = f"close to a stop: {worst['gate']} {worst['weight']:.0%}" if worst["weight"] > CLOSE else "healthy"
    left_s = max(0.0, on.plan.hold_s - (now - on.since) / 1e6)
    left = max(0, on.plan.rows - (known["pairs"] - on.pairs_before))
    if on.step + 1 < len(on.plan.steps) or on.plan.promote:
        then = _share(on.plan.steps[on.step + 1]) if on.step + 1 < len(on.plan.steps) else "it serves"
        when = f"in {left_s:.0f} s and {left:,} rows"
        return f"{start.version} is on, {to}, {health}; next, {when}: {then}; or ringbound rollout stop"
    if left_s or left:
        return f"{start.version} is on, {to}, {health}; its last step ends in {left_s:.0f} s and {left:,} rows"
    return (
        f"{start.version} has passed all steps, {health}; next: ringbound registry promote {start.version} "
        f"{start.environment}, or ringbound rollout stop"
    )


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
pre {{ background: #f6f6f4; padding: 1rem; white-space: pre-wrap; font-size: 13px }} svg {{ width: 100%; height: auto }}
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


def _last_evidence(facts: Sequence[Fact]) -> dict[str, Any] | None:
    return next((told for fact in reversed(facts) if (told := _evidence(fact))), None)


def _evidence(fact: Fact) -> dict[str, Any] | None:
    """Return what was known when a fact was; None where it says nothing of that, or in other words."""
    told: Any = fact.details if fact.kind == "look" else fact.details.get("evidence")
    try:
        known = isinstance(told["pairs"], int) and all({*one} >= {"gate", "says", "weight"} for one in told["findings"])
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
    r"""Return what somebody wrote as one line that can be printed anywhere.

    >>> plain("a\nb\x1b[31m")
    'a b?[31m'
    """
    one = " ".join(str(text).split()).encode("utf-8", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in one)


def _served(now: State) -> str:
    one = now.champion
    return f"{one.version} (model {one.model}) since {instant(one.at)[:19]} UTC" if one else "what it was started with"


def _ended(since: Sequence[Fact]) -> str:
    ended = next((fact for fact in since if fact.kind in ("stop", "serve")), None)
    if ended is None:
        return "on, by another version of ringbound"
    when = f"at {instant(ended.at)[:19]} UTC"
    why = plain(ended.details.get("why", ""))
    if ended.kind == "stop":
        return f"stopped {when}: {why}"
    if ended.code != since[0].code:
        return f"ended {when}, as {ended.version} was given what it was rolled out in: {why}"
    return f"promoted {when}" if "evidence" in ended.details else f"promoted by hand {when}: {why}"


def _says(fact: Fact) -> str:
    if fact.kind == "start":
        found = _plan(fact)
        return f"beside the champion: {steps_of(found, State())}" if found else "beside the champion"
    if fact.kind == "step":
        number, pairs = fact.details.get("step"), fact.details.get("pairs")
        if not isinstance(number, int) or not isinstance(pairs, int):
            return "a step that cannot be read"
        return f"step {number + 1}, after {pairs:,} rows"
    return plain(fact.details.get("why", ""))


def _share(share: float) -> str:
    return f"{share * 100:.4g}%" if share else "shadow"
