"""What could have been reached at best, by somebody who knew the whole history: the bound that policies are held to."""

from collections.abc import Collection

import numpy as np

from ringbound.simulation.money import Prices, mistakes
from ringbound.simulation.record import PolicyRun, result_of
from ringbound.simulation.world import World


def run_oracle(world: World, prices: Prices, models: Collection[tuple[int, int]], name: str) -> PolicyRun:
    """Return the cheapest way to retrain that there was, by dynamic programming over looks and models.

    At each look it may change to any of the `models`, cuts with their windows, that could have learnt by then, and pays for
    it; outcomes cost it nothing, and no gate holds it up. Only what mixes two models for a step, a canary, can do better.
    """
    task, looks = world.rows.problem.task, world.looks
    models = sorted({(world.start, 0), *models})
    y = world.rows.y
    here = ~np.isnan(y)
    costs = np.full((len(looks), len(models)), np.inf)
    price = np.zeros(len(models))
    for place, (cut, window) in enumerate(models):
        answers = world.answers(cut, window)
        price[place] = prices.of_retraining(len(world.known_by(cut, window)))
        for number, day in enumerate(looks):
            if day >= cut:
                rows = world.between(day, min(day + world.step, world.end))
                known = here[rows]
                costs[number, place] = prices.mistake * mistakes(task, y[rows][known], answers[rows][known]).sum()
    best = np.zeros((len(looks) + 1, len(models)))
    then = np.zeros((len(looks), len(models)), int)
    for number in range(len(looks) - 1, -1, -1):
        change = price + costs[number] + best[number + 1]
        cheapest = int(change.argmin())
        keep = costs[number] + best[number + 1]
        then[number] = np.where(keep <= change[cheapest], np.arange(len(models)), cheapest)
        best[number] = np.minimum(keep, change[cheapest])
    place, way, learnt = models.index((world.start, 0)), [], []
    for number in range(len(looks)):
        following = int(then[number, place])
        if following != place:
            learnt.append(len(world.known_by(*models[following])))
        place = following
        way.append(models[place])
    return _as_run(world, prices, way, learnt, name)


def _as_run(world: World, prices: Prices, way: list[tuple[int, int]], learnt: list[int], name: str) -> PolicyRun:
    answered, by = np.full(len(world.rows), np.nan), np.zeros(len(world.rows), np.int64)
    for day, cut in zip(world.looks, way, strict=True):
        rows = world.between(day, min(day + world.step, world.end))
        answered[rows], by[rows] = world.answers(*cut)[rows], cut[0]
    return result_of(world, prices, name, answered, by, learnt)
