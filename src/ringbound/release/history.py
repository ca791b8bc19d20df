"""What served when, why it changed, and what each change was worth: by answers of the one before to the same questions."""

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from ringbound.errors import RecordError, RingboundError, one_line
from ringbound.evaluation.uncertainty import Estimate, mean_of
from ringbound.models.bundle import Bundle, load_bundle
from ringbound.models.facts import ModelFacts
from ringbound.monitoring.days import DAY_US
from ringbound.monitoring.read import known_of, seen_of
from ringbound.release.registry import Registry
from ringbound.rollout.view import plain
from ringbound.store import AskedRow, Store
from ringbound.workspace import layout
from ringbound.workspace.revision import Revision

DRAWS, SEED = 1000, 7
FEWEST_STRETCHES = 3
"""Stretches of days like each other, from which an interval is made."""
LATEST = 2**62


@dataclass(frozen=True)
class Change:
    """A version that an environment was given: since when, by whom and why; `model` is that of its bundle at a `commit`."""

    version: str
    model: str
    since: str
    who: str
    why: str
    commit: str


@dataclass(frozen=True)
class Worth:
    """What a change was worth: on `rows` with an outcome, loss and loss of the one before, and how much less, a row.

    `saved` is None where the days are too few to say how sure that is; `why_not` says why nothing is known.
    """

    rows: int = 0
    loss: float = float("nan")
    before: float = float("nan")
    saved: Estimate | None = None
    why_not: str = ""

    def __str__(self) -> str:
        if self.why_not:
            return self.why_not
        says = f"{self.loss:.4f} instead of {self.before:.4f} on {self.rows:,} rows"
        if self.saved is None:
            return f"{says}: {self.before - self.loss:+.4f} saved, on too few days to say how sure that is"
        return f"{says}: {self.saved.value:+.4f} ({self.saved.low:+.4f} to {self.saved.high:+.4f}) saved"


def changes_of(registry: Registry, environment: str) -> list[Change]:
    """Return what an environment was given, in order; the model is empty where it is not known, or none was given."""
    found = []
    for entry in registry.changes(environment):
        if entry.action in ("promote", "rollback", "unassign"):
            facts, taken = None, ["taken out"] if entry.action == "unassign" else []
            with suppress(RecordError):
                facts = None if taken else Revision(registry.root, entry.commit).record(layout.MODEL, ModelFacts)
            why = plain(" / ".join(filter(None, [*taken, *entry.note.splitlines()])))
            about = (entry.when, plain(entry.who), one_line(Exception(why), 400))
            found.append(Change(entry.version, facts.version if facts else "", *about, entry.commit))
    return found


def worths_of(registry: Registry, changes: Sequence[Change], store: Store | None) -> list[Worth]:
    """Return what each change was worth: all questions that its model has answered in full, answered once more.

    By the model before it, on the features that were recorded; wherever and whenever the model has answered them.
    """
    with tempfile.TemporaryDirectory() as folder:
        models = _Models(registry, Path(folder))
        found = [_worth(models, before, now, store) for before, now in pairwise(changes)]
    return [Worth(why_not="nothing served before"), *found][: len(changes)]


class _Models:
    """Models of commits, each fetched once."""

    def __init__(self, registry: Registry, folder: Path):
        self._registry, self._folder = registry, folder
        self._known: dict[str, Bundle] = {}

    def of(self, change: Change) -> Bundle:
        if change.commit not in self._known:
            folder = self._folder / change.commit
            self._known[change.commit] = load_bundle(
                Revision(self._registry.root, change.commit).fetch(layout.MODELS, folder)
            )
        return self._known[change.commit]


def _worth(models: _Models, before: Change, now: Change, store: Store | None) -> Worth:
    if not (before.model and now.model):
        return Worth(why_not="there are no two models, or none that this version of ringbound knows")
    if before.model == now.model:
        return Worth(why_not="the same model as before")
    if store is None:
        return Worth(why_not="there is no store with answers")
    try:
        old, new = models.of(before), models.of(now)
    except RingboundError as error:
        return Worth(why_not=f"its models cannot be fetched: {one_line(error, 120)}")
    if old.features.hash != new.features.hash:
        return Worth(why_not=f"{before.version} takes other features")
    asked, days = 0, []
    for rows in store.asked(0, LATEST):
        mine = [row for row in rows if row.rung == "full" and row.model_version == now.model]
        asked += len(mine)
        if mine:
            days.append(_losses(old, new, mine, store))
    if not asked:
        return Worth(why_not="it has answered nothing that is recorded")
    table = pd.concat(days)
    if not len(table):
        return Worth(why_not=f"of {asked:,} rows it is not known yet what came")
    return Worth(
        len(table), float(table["now"].mean()), float(table["before"].mean()), _saved(table, new.problem.stretch)
    )


def _losses(old: Bundle, new: Bundle, asked: list[AskedRow], store: Store) -> pd.DataFrame:
    """Return the losses of both models on rows of which it is known what came; what was asked again counts once."""
    seen = seen_of(new, asked)
    y = known_of(store, new.task, seen, LATEST).outcomes
    here = np.zeros(len(y), bool)
    here[np.unique(seen.rows, return_index=True)[1]] = True
    here &= ~np.isnan(y)
    first = old.full.answer({name: column[here] for name, column in seen.columns.items()})
    losses = {"now": new.task.losses(y[here], seen.answers[here]), "before": new.task.losses(y[here], first)}
    return pd.DataFrame({"day": seen.at[here] // DAY_US, **losses})


def _saved(table: pd.DataFrame, stretch: int) -> Estimate | None:
    """Return how much less is lost a row, with its interval; None where there are too few stretches of days for one."""
    days = table["day"].to_numpy()
    if len(np.unique(days)) < FEWEST_STRETCHES * stretch:
        return None
    one = mean_of((table["before"] - table["now"]).to_numpy(), days, draws=DRAWS, seed=SEED, stretch=stretch)
    return Estimate(one.value, *one.interval(mean=True))


def history_lines(changes: Sequence[Change], worths: Sequence[Worth]) -> list[str]:
    """Return what served, a line each, and what each change was worth below it."""
    lines = []
    for change, worth in zip(changes, worths, strict=True):
        lines.append(f"{change.since}  {change.version:<5} model {change.model}  {change.why}  ({change.who})")
        lines.append(f"  worth: {worth}")
    return lines


def write_page(file: Path, environment: str, changes: Sequence[Change], worths: Sequence[Worth]) -> None:
    """Write the history as an HTML page that loads nothing from elsewhere, the latest first."""
    rows = "".join(
        f"<tr><td>{escape(c.since)}<td><b>{escape(c.version)}</b><br>{escape(c.model)}<td>{escape(c.why)}<br>"
        f"<small>{escape(c.who)}</small><td>{escape(str(w))}{_bar(w)}</tr>"
        for c, w in reversed(list(zip(changes, worths, strict=True)))
    )
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(environment)}: what served</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; width: 100% }} td, th {{ text-align: left; padding: .5rem .8rem .5rem 0;
border-top: 1px solid #ddd; vertical-align: top }} td:first-child {{ white-space: nowrap }} small {{ color: #666 }}
svg {{ display: block }}
</style><h1>{escape(environment)}: what served</h1>
<p>A change is worth what the model before it would have lost more on the questions that the new one has answered.</p>
<table><tr><th>since<th>version<th>why<th>worth, a row</tr>{rows}</table></html>
"""
    file.write_text(page, "utf-8")


def _bar(worth: Worth) -> str:
    """Return the interval as a small figure: right of the line is better than before."""
    if worth.saved is None:
        return ""
    most = max(abs(worth.saved.low), abs(worth.saved.high), 1e-9)
    x = lambda value: f"{100 + 95 * value / most:.1f}"  # noqa: E731
    colour = "#2a7" if worth.saved.low > 0 else "#c44" if worth.saved.high < 0 else "#999"
    ends = f'x1="{x(worth.saved.low)}" x2="{x(worth.saved.high)}" y1="7" y2="7"'
    return (
        '<svg viewBox="0 0 200 14" width="200" height="14"><line x1="100" x2="100" y1="0" y2="14" stroke="#ccc"/>'
        f'<line {ends} stroke="{colour}" stroke-width="3"/>'
        f'<circle cx="{x(worth.saved.value)}" cy="7" r="4" fill="{colour}"/></svg>'
    )
