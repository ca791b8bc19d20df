"""The figures of a window, out of its days: what a report says."""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import stdtrit

from ringbound.data.drift import stability_index
from ringbound.monitoring.bands import Band, Early, Maturing, estimated, final, partly_matured, spread_of
from ringbound.monitoring.bins import Counts, distance, total
from ringbound.monitoring.days import DAY_US, Day, OutcomeDay, day_of
from ringbound.monitoring.profile import ANSWERS, Profile, groups_of
from ringbound.monitoring.reader import Reader
from ringbound.monitoring.report import ColumnFigures, DayFigures, PartFigures, Report
from ringbound.monitoring.sketch import summary_of
from ringbound.monitoring.statistics import FEWEST_ROWS
from ringbound.monitoring.sums import Sums
from ringbound.monitoring.watch import Watch
from ringbound.problem.packed import readable, watched_outcomes
from ringbound.store import instant

WEIGHTS_SHOWN = 12


def report_of(
    reader: Reader, watch: Watch, asked: dict[str, Day], came: dict[str, OutcomeDay], end: int, days: int
) -> Report:
    """Return the report of the last `days` days before `end`, in microseconds since 1970, of those that were read."""
    bundle, profile = reader.bundle, reader.profile
    first = day_of(end - days * DAY_US)
    of_window = [day for name, day in asked.items() if name >= first]
    told = {name: day for name, day in came.items() if name >= first}
    whole = profile.judged.get("")
    rows = sum(day.rows for day in of_window)
    columns = total([day.columns for day in of_window])
    summaries = summary_of(reader.sketches, [day.day for day in of_window]) if reader.sketches else {}
    figures = [
        _column(profile, watch, name, columns[name], summaries.get("answer" if name == ANSWERS else name, {}))
        for name in columns
    ]
    figures.sort(key=lambda one: (-one.weight, -one.distance, one.name))
    watched = [name for name in groups_of(bundle.problem.guarded, profile.columns) if profile.columns[name].of_texts]
    missing = [name for name in bundle.problem.guarded if name not in watched]
    notes = [f"{name} is guarded and no category that is asked, so it is not watched" for name in missing]
    if whole is None:
        notes.append("the model was judged on too few days to promise a loss: performance raises no alarms")
    weights = {name: one.weight for name, one in watch.detectors.items() if one.weight > 0.01}
    top = sorted(weights.items(), key=lambda one: -one[1])[:WEIGHTS_SHOWN]
    return Report(
        model=bundle.version,
        problem=bundle.problem.name,
        loss=bundle.task.loss,
        answer=bundle.task.answer,
        through=instant(reader.through)[:19],
        first=of_window[0].day if of_window else first,
        last=of_window[-1].day if of_window else day_of(end - DAY_US),
        rows=rows,
        repeated=sum(day.repeated for day in of_window),
        promise=whole.promise if whole else None,
        false_alarms_a_year=watch.budget.total,
        bands=_bands(reader, came, told),
        parts=_parts(told, lambda name: "/" in name and "=" not in name),
        groups=_parts(told, lambda name: "=" in name),
        columns=figures,
        days=[_day(day, came.get(day.day), day.day in reader.final) for day in of_window],
        weights=dict(top),
        system=_system(of_window),
        notes=notes,
    )


def _bands(reader: Reader, came: dict[str, OutcomeDay], told: dict[str, OutcomeDay]) -> list[Band]:
    whole = reader.profile.judged.get("")
    if whole is None or not told:
        return []
    finals = [day for name, day in came.items() if name in reader.final and day.all.known >= FEWEST_ROWS]
    gaps = [day.all.mean_gap for day in finals]
    window = sum((day.all for day in told.values()), Sums())
    bands = [estimated(whole, window, len(told), gaps)]
    if reader.early:
        bands.append(_early(reader, finals))
    if mine := [day for name, day in told.items() if name in reader.final and day.all.known >= FEWEST_ROWS]:
        bands.append(final(whole, mine))
    return [_finite(band) for band in bands]


def _early(reader: Reader, finals: list[OutcomeDay]) -> Band:
    task, profile = reader.bundle.task, reader.profile
    maturing = Maturing(finals)
    parts: list[list[np.ndarray]] = [[], [], [], []]
    for seen, known in reader.early:
        there = ~np.isnan(known.outcomes) & readable(seen.answers)
        loss, share = np.full(len(seen), np.nan), np.full(len(seen), np.nan)
        loss[there] = task.losses(known.outcomes[there], seen.answers[there])
        shares = maturing.shares((reader.through - seen.at).astype(float))
        place, _ = profile.outcomes.places(watched_outcomes(task, known.outcomes[there]))
        share[there] = shares[np.minimum(place, len(shares) - 1), np.flatnonzero(there)]
        least = shares[maturing.occupied].min(axis=0)
        for part, values in zip(parts, (profile.expected_loss(task, seen.answers), loss, share, least), strict=True):
            part.append(values)
    rows, known_rows = sum(day.all.rows for day in finals), sum(day.all.known for day in finals)
    spread, _ = spread_of(profile.judged[""].gap)
    number = len({day for seen, _ in reader.early for day in np.unique(seen.at // DAY_US).tolist()})
    early = Early(*(np.concatenate(part) for part in parts))
    return partly_matured(early, known_rows / rows if rows else 1.0, 0.0 if math.isnan(spread) else spread, number)


def _finite(band: Band) -> Band:
    """Return a band with numbers alone, for a file: what is not known is not a number, and is muted."""
    if all(math.isfinite(value) for value in (band.value, band.low, band.high)):
        return band
    value, low, high = (one if math.isfinite(one) else 0.0 for one in (band.value, band.low, band.high))
    return Band(band.name, value, low, high, band.rows, band.known, band.muted or "too little is known yet")


def _number(value: float) -> float | None:
    """Return a number for a file; None where it is none."""
    return value if math.isfinite(value) else None


def _parts(told: dict[str, OutcomeDay], chosen: Callable[[str], bool]) -> list[PartFigures]:
    sums: dict[str, Sums] = {}
    losses: dict[str, list[float]] = {}
    for day in told.values():
        for name, some in day.parts.items():
            if chosen(name):
                sums[name] = sums.get(name, Sums()) + some
                if some.known >= FEWEST_ROWS:
                    losses.setdefault(name, []).append(some.mean_loss)
    return [_part(name, some, losses.get(name, [])) for name, some in sorted(sums.items())]


def _part(name: str, sums: Sums, losses: list[float]) -> PartFigures:
    if not sums.known or not math.isfinite(sums.loss + sums.expected + sums.answer):
        return PartFigures(name, sums.rows, 0, None, None, None, None)
    loss, expected, outcome, answer = (
        value / sums.known for value in (sums.loss, sums.expected, sums.outcome, sums.answer)
    )
    spread, units = spread_of(losses)
    low = high = None
    if units >= 2:
        reach = float(stdtrit(units - 1, 0.975)) * spread / math.sqrt(units)
        low, high = max(0.0, loss - reach), loss + reach
    return PartFigures(name, sums.rows, sums.known, loss, expected, outcome, answer, low, high)


def _day(day: Day, came: OutcomeDay | None, is_final: bool) -> DayFigures:
    sums = came.all if came else Sums()
    known = sums.known or 0
    return DayFigures(
        day=day.day,
        rows=day.rows,
        lower=day.lower / max(1, day.rows),
        answer=_number(sums.answer_of_all / sums.rows) if sums.rows else None,
        outcome=_number(sums.mean_outcome),
        expected=_number(sums.expected_of_all / sums.rows) if sums.rows else None,
        loss=_number(sums.mean_loss),
        known=known / max(1, sums.rows),
        final=is_final,
    )


def _column(
    profile: Profile, watch: Watch, name: str, counts: Counts, summary: dict[str, float | None]
) -> ColumnFigures:
    bins, then = profile.bins(name), np.array(profile.learnt[name])
    now = np.array(counts.bins)
    shares = lambda some: [round(float(one), 5) for one in some / max(1, some.sum())]  # noqa: E731
    return ColumnFigures(
        name=name,
        source=profile.sources.get(name, ANSWERS),
        distance=math.sqrt(distance(now, then[:-1])),
        stability_index=float(stability_index(then[:-1].astype(float), now.astype(float))) if now.sum() else 0.0,
        missing=counts.missing / max(1, counts.rows),
        missing_then=float(then[-1] / max(1, then.sum())),
        strange=counts.strange / max(1, int(now.sum())),
        weight=watch.weight(f"column/{name}"),
        labels=bins.labels(),
        now=shares(now),
        then=shares(then[:-1]),
        texts=counts.texts,
        examples=counts.examples,
        summary=summary,
    )


def _system(days: list[Day]) -> dict[str, object]:
    answered: dict[str, int] = {}
    reasons: dict[str, int] = {}
    for day in days:
        for version, rungs in day.answered.items():
            for rung, number in rungs.items():
                answered[f"{version}/{rung}"] = answered.get(f"{version}/{rung}", 0) + number
        for reason, number in day.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + number
    took = np.sum([day.took for day in days], axis=0) if days else np.zeros(1)
    rows = max(1, sum(day.rows for day in days))
    return {
        "answered": answered,
        "reasons": reasons,
        "decided": sum(day.decided for day in days) / rows,
        "took_ms_median": _quantile(took, 0.5),
        "took_ms_99": _quantile(took, 0.99),
    }


def _quantile(took: np.ndarray, q: float) -> float | None:
    """Return about how many milliseconds a share of answers took at most, from counts by doublings of microseconds."""
    if not took.sum():
        return None
    place = int(np.searchsorted(np.cumsum(took), q * took.sum()))
    return float(2 ** (place + 1)) / 1000
