"""What monitors found, for people: lines in a terminal, and a page without anything from elsewhere."""

import shlex
from collections.abc import Callable, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from ringbound.monitoring.alerts import Alert, standing
from ringbound.monitoring.charts import BLUE, GREY, OCHRE, RED, Line, bars_of, interval, lines_chart, meter
from ringbound.monitoring.report import ColumnFigures, PartFigures, Report
from ringbound.rollout.view import plain

COLUMNS_SHOWN = 60
STYLE = """
:root { color-scheme: light } * { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 1.5rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem } p { margin: .4rem 0 }
.status { display: flex; gap: .8rem; align-items: center; padding: .9rem 1.1rem; border-radius: .5rem; margin: .8rem 0 }
.ok { background: #e8f3ea } .status.warning { background: #fdf3dc } .status.critical { background: #fbe4e2 }
.muted { color: #666 }
.status b { font-size: 1.15rem } .card { border: 1px solid #ddd; border-left: 5px solid #c98a3b; border-radius: .4rem;
padding: .7rem 1rem; margin: .7rem 0 } .card.critical { border-left-color: #c44 }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: 14px } th { font-weight: 600 }
td, th { text-align: left; padding: .3rem .7rem .3rem 0; border-top: 1px solid #e3e3e0; vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } svg { width: 100%; height: auto }
summary { cursor: pointer } code { background: #f3f3f0; padding: .05rem .3rem; border-radius: .2rem; font-size: 13px }
.legend span { margin-right: 1rem; white-space: nowrap } .dot { display: inline-block; width: .7em; height: .7em;
border-radius: 50%; margin-right: .3em } .grid { display: grid; gap: 1.2rem; grid-template-columns: 1fr 1fr }
@media (max-width: 46rem) { .grid { grid-template-columns: 1fr } body { font-size: 14px } }
"""


def headline(report: Report | None, alerts: Sequence[Alert]) -> tuple[str, str]:
    """Return how things stand: ok, warning, critical or muted, and in words."""
    on = [alert for alert in standing(alerts).values() if alert.state != "resolved"]
    if report is None:
        return "muted", "nothing is known yet: run ringbound monitor"
    if not on:
        return "ok", "all is well: no alert is open"
    critical = [alert for alert in on if alert.severity == "critical"]
    unseen = sum(alert.state == "open" for alert in on)
    words = f"{len(on)} alert{'s' if len(on) > 1 else ''}, {len(critical)} critical; {unseen} not acknowledged"
    return ("critical" if critical else "warning"), words


def status_lines(report: Report, alerts: Sequence[Alert]) -> list[str]:
    """Return how things stand, in lines: first what to make of it, then alerts, performance and what has moved most."""
    _, words = headline(report, alerts)
    lines = [words, ""]
    lines += alert_lines([alert for alert in standing(alerts).values() if alert.state != "resolved"])
    lines += [
        f"window         {report.first} to {report.last}, {report.rows:,} answers of model {report.model} and others"
        if len({part.name.partition("/")[0] for part in report.parts}) > 1
        else f"window         {report.first} to {report.last}, {report.rows:,} answers, model {report.model}",
    ]
    if report.promise is not None:
        lines.append(f"promised       {report.loss} {report.promise:.4f}")
    for band in report.bands:
        told = f"{band.value:.4f} ({band.low:.4f} to {band.high:.4f})"
        known = f", {band.known:,} of {band.rows:,} outcomes known" if band.name != "estimated" else ""
        lines.append(f"{band.name:<15}{f'muted: {band.muted}' if band.muted else told + known}")
    moved = [column for column in report.columns if column.weight > 0.3][:5]
    lines += [f"evidence       {column.name} ({column.source}): {column.weight:.0%} of an alarm" for column in moved]
    return lines + [f"note           {note}" for note in report.notes]


def alert_lines(alerts: Sequence[Alert]) -> list[str]:
    """Return alerts, three lines each."""
    lines = []
    for alert in alerts:
        again = f", {alert.times} times, last {alert.last}" if alert.times > 1 else ""
        recurs = ", recurring" if alert.recurring else ""
        lines.append(
            f"{plain(alert.severity):<9} {plain(alert.name)}  {alert.state}{recurs} since {alert.opened}{again}"
        )
        lines.append(f"          {plain(alert.says)}")
        lines.append(f"          likely {alert.found.get('cause', '?')}; {plain(alert.found.get('action', ''))}")
        lines += [f"          {plain(note)}" for note in alert.notes]
    return lines


def page(report: Report | None, alerts: Sequence[Alert], made: str = "") -> str:
    """Return an HTML page: status first, then alerts, performance in three bands, drift by column, and the service."""
    kind, words = headline(report, alerts)
    on = [alert for alert in standing(alerts).values() if alert.state != "resolved"]
    on.sort(key=lambda one: (one.severity != "critical", one.opened))
    parts = [f'<div class="status {kind}"><b>{escape(words)}</b></div>']
    parts += [_card(alert) for alert in on]
    title = "monitor"
    if report is not None:
        title = f"{report.problem}: monitor"
        about = f"{report.first} to {report.last}, {report.rows:,} answers, known through {report.through} UTC"
        parts.insert(0, f'<h1>{escape(report.problem)}</h1><p class="muted">{escape(about)}; made {escape(made)}</p>')
        parts += [_performance(report), _groups(report), _drift(report), _service(report)]
    parts.append(_history(alerts))
    if report is not None:
        words = (
            f"All monitors together are allowed {report.false_alarms_a_year:g} false alarms a year on average, however often "
            "one looks."
        )
        notes = [words, *report.notes]
        parts.append("".join(f'<p class="muted">{escape(note)}</p>' for note in notes))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, '
        f'initial-scale=1"><title>{escape(title)}</title><style>{STYLE}</style>{"".join(parts)}</html>\n'
    )


def _card(alert: Alert) -> str:
    found = alert.found
    again = f", {alert.times} times, last on {alert.last}" if alert.times > 1 else ""
    signs = [sign for sign in found.get("signs") or [] if isinstance(sign, dict)]
    number: Callable[[Any], str] = lambda value: f"{value:.3g}" if isinstance(value, int | float) else ""  # noqa: E731
    rows = "".join(
        f"<tr><td>{escape(str(s.get('subject')))}</td><td>{escape(str(s.get('kind')))}</td>"
        f'<td class="n">{number(s.get("value"))}</td><td class="n">{number(s.get("usual"))}</td>'
        f'<td class="n">{number(s.get("high"))}</td></tr>'
        for s in signs
    )
    table = (
        '<details><summary>evidence</summary><div class="scroll"><table><tr><th>what</th><th>how</th>'
        '<th class="n">that day</th><th class="n">usual</th><th class="n">95% of days below</th></tr>'
        f"{rows}</table></div>{_examples(found.get('examples') or [])}</details>"
        if rows
        else ""
    )
    notes = "".join(f'<p class="muted">{escape(plain(note))}</p>' for note in alert.notes)
    state = f"{alert.state}{', recurring' if alert.recurring else ''} since {alert.opened}{again}"
    return (
        f'<div class="card {escape(alert.severity)}"><b>{escape(alert.name)}</b> '
        f'<span class="muted">{escape(alert.severity)}, {escape(state)}</span>'
        f"<p>{escape(plain(alert.says))}</p><p>Likely <b>{escape(str(found.get('cause', '?')))}</b>: "
        f"{escape(plain(found.get('action', '')))}.</p>{table}{notes}"
        f"<p><code>ringbound alerts acknowledge {escape(shlex.quote(alert.name))}</code></p></div>"
    )


def _examples(ids: Sequence[Any]) -> str:
    if not ids:
        return ""
    links = ", ".join(f'<a href="/receipts/{quote(str(name))}">{escape(str(name))}</a>' for name in ids)
    return f"<p>For example: {links}</p>"


def _performance(report: Report) -> str:
    days = [day.day for day in report.days]
    final = [day.loss if day.final else None for day in report.days]
    early = [day.loss if not day.final else None for day in report.days]
    lines = [
        Line("as answers lead to expect", [day.expected for day in report.days], OCHRE),
        Line("lost, final", final, BLUE),
        Line("lost, of what is known so far", early, GREY),
    ]
    chart = lines_chart(days, lines, level=report.promise, says="promised")
    rows = []
    if report.bands:
        ends = [value for band in report.bands for value in (band.low, band.high, band.value)]
        low, high = min([*ends, report.promise or ends[0]]), max([*ends, report.promise or ends[0]])
        for band in report.bands:
            told = f"{band.value:.4f}" if not band.muted else "muted"
            drawn = interval(band.low, band.value, band.high, low, high, report.promise, faint=bool(band.muted))
            known = f"{band.known:,} of {band.rows:,}" if band.name != "estimated" else f"none of {band.rows:,}"
            why = f'<p class="muted">{escape(band.muted)}</p>' if band.muted else ""
            rows.append(
                f'<tr><td>{band.name}{why}</td><td class="n">{told}</td><td style="min-width:12rem">{drawn}</td>'
                f'<td class="n">{known}</td></tr>'
            )
    table = (
        f'<div class="scroll"><table><tr><th>{escape(report.loss)}</th><th class="n">mean</th><th>95% interval</th>'
        f'<th class="n">outcomes</th></tr>{"".join(rows)}</table></div>'
    )
    both = lines_chart(
        days,
        [
            Line(f"mean {report.answer}", [day.answer for day in report.days], OCHRE),
            Line("mean outcome", [day.outcome if day.final else None for day in report.days], BLUE),
        ],
    )
    return f'<h2>Performance</h2><div class="grid"><div>{chart}</div><div>{both}</div></div>{table}'


def _groups(report: Report) -> str:
    def rows(parts: Sequence[PartFigures]) -> str:
        number: Callable[[float | None], str] = lambda value: "" if value is None else f"{value:.4f}"  # noqa: E731
        return "".join(
            f'<tr><td>{escape(p.name)}</td><td class="n">{p.rows:,}</td><td class="n">{p.known:,}</td>'
            f'<td class="n">{number(p.loss)}</td><td class="n">{number(p.low)} to {number(p.high)}</td>'
            f'<td class="n">{number(p.expected)}</td><td class="n">{number(p.answer)}</td>'
            f'<td class="n">{number(p.outcome)}</td></tr>'
            for p in parts
        )

    head = (
        f'<tr><th>part</th><th class="n">answers</th><th class="n">outcomes</th><th class="n">{escape(report.loss)}</th>'
        '<th class="n">95%</th><th class="n">expected</th>'
        f'<th class="n">mean {escape(report.answer)}</th><th class="n">mean outcome</th></tr>'
    )
    by_rung = f'<div class="scroll"><table>{head}{rows(report.parts)}</table></div>'
    groups = f'<div class="scroll"><table>{head}{rows(report.groups)}</table></div>' if report.groups else ""
    guarded = f"<h2>Guarded groups</h2>{groups}" if groups else ""
    return f"<h2>By model and rung</h2>{by_rung}{guarded}"


def _drift(report: Report) -> str:
    rows = "".join(_column(column) for column in report.columns[:COLUMNS_SHOWN])
    return (
        "<h2>Columns, beside what the model learnt from</h2>"
        '<p class="muted">Evidence is that of today, as a share of what raises an alarm: against the weeks before, not '
        "against the past as a whole, which seasons move.</p>"
        '<div class="scroll"><table><tr><th>column</th><th>source</th><th class="n">Hellinger</th><th class="n">PSI</th>'
        '<th class="n">missing</th><th class="n">was</th><th class="n">strange</th><th>evidence</th></tr>'
        f"{rows}</table></div>"
    )


def _column(column: ColumnFigures) -> str:
    seen = [f"{name} {value:.5g}" for name, value in column.summary.items() if value is not None]
    texts = ", ".join(f"{escape(plain(text))} ({number:,})" for text, number in list(column.texts.items())[:10])
    inside = bars_of(column.labels, column.then, column.now)
    inside += f"<p>Never seen before: {texts}</p>" if texts else ""
    inside += f'<p class="muted">whylogs: {escape(", ".join(seen))}</p>' if seen else ""
    return (
        f"<tr><td><details><summary>{escape(column.name)}</summary>{inside}{_examples(column.examples)}</details></td>"
        f'<td>{escape(column.source)}</td><td class="n">{column.distance:.3f}</td>'
        f'<td class="n">{column.stability_index:.3f}</td><td class="n">{column.missing:.1%}</td>'
        f'<td class="n">{column.missing_then:.1%}</td><td class="n">{column.strange:.1%}</td>'
        f"<td>{meter(column.weight)}</td></tr>"
    )


def _service(report: Report) -> str:
    days = [day.day for day in report.days]
    rows = lines_chart(days, [Line("answers a day", [float(day.rows) for day in report.days], BLUE)])
    lower = lines_chart(days, [Line("share of a lower rung", [day.lower for day in report.days], RED)])
    said = []
    for name, value in report.system.items():
        if isinstance(value, dict):
            value = ", ".join(f"{what} {number:,}" for what, number in value.items()) or "none"
        elif isinstance(value, float):
            value = f"{value:.4g}"
        said.append(f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{escape(str(value))}</td></tr>")
    return (
        f'<h2>Service</h2><div class="grid"><div>{rows}</div><div>{lower}</div></div>'
        f'<div class="scroll"><table>{"".join(said)}</table></div>'
    )


def _history(alerts: Sequence[Alert]) -> str:
    if not alerts:
        return ""
    rows = "".join(
        f"<tr><td>{alert.opened}</td><td>{escape(alert.name)}</td><td>{escape(alert.severity)}</td>"
        f"<td>{alert.state}{', recurring' if alert.recurring else ''}</td>"
        f"<td>{escape(plain(alert.says))}{''.join(f'<br>{escape(plain(n))}' for n in alert.notes)}</td></tr>"
        for alert in reversed(alerts)
    )
    head = "<tr><th>opened</th><th>alert</th><th>severity</th><th>state</th><th>what was found</th></tr>"
    return f'<h2>All alerts</h2><div class="scroll"><table>{head}{rows}</table></div>'
