"""The history that policies live through: who was asked what and when, what came, and the models that could have answered.

A model is told by what it has learnt: all that was known on a day, its *cut*, of all history or of a window. Whoever asks for
one gets the same, so that policies share them; each is fitted once and kept on disk, with its answers to all that came later.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ringbound.errors import ModelError
from ringbound.evaluation.ablation import fit_beside
from ringbound.features.definition import AT
from ringbound.features.frames import instants
from ringbound.models.bundle import Bundle, load_bundle, write_bundle
from ringbound.models.candidates import Candidate
from ringbound.models.facts import Learnt
from ringbound.monitoring.days import DAY_US, day_of
from ringbound.monitoring.learn import learn_from
from ringbound.monitoring.profile import Profile
from ringbound.problem.training import Rows

JUDGED_DAYS = 91
"""How far back a model is judged by answers of models before it: what it promises."""
ANSWERS = "answers.npy"


@dataclass(frozen=True)
class World:
    """Rows in the order of their times, what was told of them (n,), missing where nothing was, and when, in microseconds.

    What was told is learnt from; what came, which may differ, is in the rows. Days count from 1970; a policy decides each
    `step` days from `start` on. `candidates` and `learnt` say how a model is fitted; `folder` keeps what was fitted.
    """

    rows: Rows
    told: np.ndarray
    known: np.ndarray
    candidates: Sequence[Candidate]
    learnt: Learnt
    entry: str
    folder: Path
    start: int
    end: int
    step: int

    @cached_property
    def at(self) -> np.ndarray:
        """When each row was asked, in microseconds, (n,)."""
        return instants(self.rows.table[AT.name])

    @cached_property
    def days(self) -> np.ndarray:
        """The day on which each row was asked, (n,)."""
        return self.at // DAY_US

    @property
    def looks(self) -> list[int]:
        """The days on which policies look and decide."""
        return list(range(self.start, self.end, self.step))

    @cached_property
    def cuts(self) -> list[int]:
        """The days at which a model may have learnt: the looks, and as many steps before as a promise needs."""
        first = int(self.days.min()) + 2 * self.step
        back = range(self.start - self.step, max(first, self.start - JUDGED_DAYS - 2 * self.step) - 1, -self.step)
        return [*sorted(back), *self.looks]

    def between(self, start: int, end: int) -> slice:
        """Return where the rows of some days stand."""
        first, last = np.searchsorted(self.at, [start * DAY_US, end * DAY_US])
        return slice(int(first), int(last))

    def known_by(self, cut: int, window: int = 0) -> np.ndarray:
        """Return the positions of all rows whose outcome was told before a day, of the last `window` days of questions."""
        since = cut - window if window else 0
        return np.flatnonzero((self.known < cut * DAY_US) & ~np.isnan(self.told) & (self.days >= since))

    def told_between(self, start: int, end: int, by: int) -> np.ndarray:
        """Return the positions of the rows of some days whose outcome was told before the day `by`."""
        rows = self.between(start, end)
        place = np.arange(rows.start, rows.stop)
        return place[(self.known[place] < by * DAY_US) & ~np.isnan(self.told[place])]

    def as_told(self, chosen: np.ndarray) -> Rows:
        """Return some rows with the outcomes that were told."""
        rows = self.rows.where(chosen)
        table = rows.table.assign(**{rows.problem.label: self.told[chosen]})
        return Rows(rows.problem, table, rows.requests, rows.references)

    def prepare(self, cut: int, window: int) -> int:
        """Fit the model of a cut, unless it is there, and keep it with its answers; return from how many rows it learnt."""
        folder = self._folder(cut, window)
        chosen = self.known_by(cut, window)
        if folder.is_dir():
            os.utime(folder)  # what is used is not swept away
            return len(chosen)
        if len(np.unique(self.told[chosen])) < 2:
            by = day_of(cut * DAY_US)
            raise ModelError(
                f"simulation: expected outcomes that differ among the {len(chosen)} told by {by}; begin later"
            )
        past = self.as_told(chosen)
        rung = fit_beside(past, self.candidates, self.learnt.candidate, seed=self.learnt.seed, **self.learnt.arguments)
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as made:
            target = Path(made) / "model"
            first, last = past.period
            write_bundle(
                target,
                problem=past.problem,
                full=rung,
                references=past.references,
                default=float(past.y.mean()),
                learnt=Learnt(len(past), first, last, "", "simulated", {}, cut),
                entry=self.entry,
            )
            later = self.rows.where(np.arange(self.between(cut, self.end).start, len(self.rows)))
            np.save(target / ANSWERS, load_bundle(target).full.answer(later.features))
            try:
                os.rename(target, folder)  # noqa: PTH104 - whole, or not at all
            except OSError:
                if not folder.is_dir():  # another was faster
                    raise
        return len(chosen)

    def answers(self, cut: int, window: int) -> np.ndarray:
        """Return what the model of a cut answers, (n,); missing for rows that were asked before it had learnt."""
        self.prepare(cut, window)
        kept = np.load(self._folder(cut, window) / ANSWERS)
        return np.r_[np.full(len(self.rows) - len(kept), np.nan), kept]

    def bundle(self, cut: int, window: int) -> Bundle:
        """Return the model of a cut."""
        self.prepare(cut, window)
        return load_bundle(self._folder(cut, window))

    def fresh(self, cut: int, window: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what was promised of a model: told rows before its cut, and the answers of models that had not seen them."""
        positions, answers = [], []
        for one in self.cuts:
            if cut - JUDGED_DAYS <= one < cut:
                place = self.told_between(one, min(one + self.step, cut), cut)
                positions.append(place)
                answers.append(self.answers(one, window)[place])
        if not positions or not len(np.concatenate(positions)):
            raise ModelError("simulation: expected outcomes of models before the first; begin later")
        return np.concatenate(positions), np.concatenate(answers)

    def profile(self, cut: int, window: int) -> Profile:
        """Return what live data of a model are held against."""
        file = self._folder(cut, window) / "monitored.json"
        if not file.is_file():
            positions, answers = self.fresh(cut, window)
            past = self.as_told(self.known_by(cut, window))
            made = learn_from(past, self.as_told(positions), answers)
            beside = file.with_suffix(f".{os.getpid()}")
            made.write(beside)
            beside.rename(file)
        return Profile.read(file)

    def _folder(self, cut: int, window: int) -> Path:
        return self.folder / f"{window}-{cut}"
