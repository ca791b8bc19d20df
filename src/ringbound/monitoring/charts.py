"""Small pictures in SVG for pages that load nothing from elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

BLUE, OCHRE, GREY, RED = "#3b6ea5", "#c98a3b", "#999999", "#cc4444"
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 520, 210, 44, 10, 24


@dataclass(frozen=True)
class Line:
    """A line of a chart: a value a day, None where there is none."""

    name: str
    values: list[float | None]
    colour: str


def lines_chart(days: Sequence[str], lines: Sequence[Line], *, level: float | None = None, says: str = "") -> str:
    """Return lines over days; a `level` is drawn dashed."""
    there = [value for line in lines for value in line.values if value is not None]
    if not there:
        return '<p class="muted">nothing is known yet</p>'
    top = max([*there, level or 0.0]) * 1.05 or 1.0
    x = lambda place: LEFT + (WIDTH - LEFT - 8) * (place + 0.5) / max(1, len(days))  # noqa: E731
    y = lambda value: TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)  # noqa: E731
    parts = []
    for share in (0.0, 0.5, 1.0):
        value = top / 1.05 * share
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#e3e3e0"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{_short(value)}</text>')
    if level is not None:
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y(level):.1f}" y2="{y(level):.1f}" stroke="{RED}" stroke-dasharray="5 4"/>'
        )
    for place in sorted({0, len(days) // 2, len(days) - 1}):
        anchor = "start" if place == 0 else "end" if place == len(days) - 1 else "middle"
        parts.append(f'<text x="{x(place):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{days[place][5:]}</text>')
    for line in lines:
        parts += _drawn(line, x, y)
    names = [(line.name, line.colour) for line in lines] + ([(says, RED)] if level is not None else [])
    legend = "".join(
        f'<span><i class="dot" style="background:{colour}"></i>{escape(name)}</span>' for name, colour in names
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" font-size="12" fill="#555" role="img" '
        f'aria-label="{escape(", ".join(name for name, _ in names))}">{"".join(parts)}</svg><p class="legend">{legend}</p>'
    )


def _drawn(line: Line, x: Callable[[int], float], y: Callable[[float], float]) -> list[str]:
    runs: list[list[str]] = [[]]
    for place, value in enumerate(line.values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{x(place):.1f},{y(value):.1f}")
    parts = []
    for run in runs:
        if len(run) == 1:
            cx, cy = run[0].split(",")
            parts.append(f'<circle cx="{cx}" cy="{cy}" r="2.5" fill="{line.colour}"/>')
        elif run:
            parts.append(f'<polyline points="{" ".join(run)}" fill="none" stroke="{line.colour}" stroke-width="2"/>')
    return parts


def interval(low: float, value: float, high: float, least: float, most: float, level: float | None, faint: bool) -> str:
    """Return an interval as a bar with its middle, and a dashed level."""
    wide = (most - least) or 1.0
    x = lambda one: 6 + 188 * (one - least) / wide  # noqa: E731
    mark = (
        f'<line x1="{x(level):.1f}" x2="{x(level):.1f}" y1="1" y2="21" stroke="{RED}" stroke-dasharray="3 3"/>'
        if level is not None
        else ""
    )
    return (
        f'<svg viewBox="0 0 200 22" style="max-width:20rem" opacity="{0.35 if faint else 1}">{mark}'
        f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="11" y2="11" stroke="{BLUE}" stroke-width="4"/>'
        f'<circle cx="{x(value):.1f}" cy="11" r="5" fill="{BLUE}"/></svg>'
    )


def meter(share: float) -> str:
    """Return a share of what raises an alarm as a bar."""
    colour = RED if share > 0.8 else OCHRE if share > 0.5 else GREY
    return (
        f'<svg viewBox="0 0 80 10" style="width:5rem" role="img" aria-label="{share:.0%}"><rect width="80" height="10" '
        f'fill="#eee"/><rect width="{80 * min(1.0, share):.1f}" height="10" fill="{colour}"/></svg>'
    )


def bars_of(labels: Sequence[str], then: Sequence[float], now: Sequence[float]) -> str:
    """Return two distributions over the same bins, one above the other: grey as it was, blue as it is."""
    shown = [place for place in range(len(labels)) if then[place] > 0.001 or now[place] > 0.001]
    most = max([*then, *now, 1e-9])
    step = max(10, 500 // max(1, len(shown)))
    parts = []
    for number, place in enumerate(shown):
        left = number * step
        for value, colour, shift in ((then[place], "#bbb", 0.0), (now[place], BLUE, step * 0.4)):
            tall = 90 * value / most
            parts.append(
                f'<rect x="{left + shift:.1f}" y="{95 - tall:.1f}" width="{step * 0.38:.1f}" height="{tall:.1f}" '
                f'fill="{colour}"><title>{escape(labels[place])}: {value:.1%}</title></rect>'
            )
        parts.append(
            f'<text transform="translate({left + step * 0.4:.1f},103) rotate(35)" font-size="9">'
            f"{escape(labels[place])}</text>"
        )
    return f'<svg viewBox="0 0 {max(500, len(shown) * step + 40)} 150" style="min-width:18rem">{"".join(parts)}</svg>'


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
