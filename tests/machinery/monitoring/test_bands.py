"""The three bands: right about what they do not know, and muted where they were wrong."""

import numpy as np

from ringbound import Classification, Costs
from ringbound.monitoring.bands import Early, Maturing, estimated, final, partly_matured
from ringbound.monitoring.days import DELAYS, OutcomeDay, delay_bins
from ringbound.monitoring.profile import History
from ringbound.monitoring.sums import Sums, sum_up

TASK = Classification(Costs(1, 1))
HOUR_US = 3.6e9
NEXT_AGE_H = 8.0


def a_day(random, rows=1500, shift=0.0):
    """Return answers, outcomes and how long these took to be known: late ones take longer, so that early ones flatter."""
    answers = random.beta(1.5, 4, rows)
    outcomes = (random.random(rows) < np.clip(answers + shift, 0, 1)).astype(float)
    delays = (random.gamma(4, 1.0, rows) + 6 * outcomes * random.random(rows)) * HOUR_US
    return answers, outcomes, delays


def sums_of(answers, outcomes):
    return sum_up(TASK, answers, outcomes, TASK.expected_losses(answers))


def outcome_day(name, answers, outcomes, delays):
    counts = np.zeros((2, DELAYS), int)
    np.add.at(counts, (outcomes.astype(int), delay_bins(delays)), 1)
    return OutcomeDay(name, {"": sums_of(answers, outcomes)}, counts.tolist())


def early(maturing, answers, outcomes, ages, known):
    shares = maturing.shares(ages)
    losses = np.where(known, TASK.losses(outcomes, answers), np.nan)
    place = np.minimum(outcomes.astype(int), len(shares) - 1)
    share = shares[place, np.arange(len(ages))]
    return Early(TASK.expected_losses(answers), losses, share, shares[maturing.occupied].min(axis=0))


def history_of(random, days=84):
    sums = [sums_of(*a_day(random)[:2]) for _ in range(days)]
    loss, gap, outcome = ([getattr(s, name) for s in sums] for name in ("mean_loss", "mean_gap", "mean_outcome"))
    return History([f"{n}" for n in range(days)], loss, gap, outcome)


def test_few_early_outcomes_give_the_loss_of_all_without_bias():
    random = np.random.default_rng(1)
    maturing = Maturing([outcome_day("d", *a_day(random, 4000)) for _ in range(10)])
    corrected, naive = [], []
    for _ in range(300):
        answers, outcomes, delays = a_day(random, 1500, shift=0.05)  # and the model is wrong, which it does not know
        losses = TASK.losses(outcomes, answers)
        ages = random.uniform(0, NEXT_AGE_H, len(answers)) * HOUR_US  # the youngest cannot have any outcome yet
        known = delays <= ages
        band = partly_matured(early(maturing, answers, outcomes, ages, known), 1.0, 0.0, 1)
        corrected.append((band.value - losses.mean(), band.low <= losses.mean() <= band.high))
        naive.append(losses[known].mean() - losses.mean())
    errors, inside = zip(*corrected, strict=True)
    standard_error = np.std(errors) / np.sqrt(len(errors))
    assert abs(np.mean(errors)) < 3 * standard_error + 0.002
    assert np.mean(naive) < -0.02  # what is known early flatters: that is what is corrected
    assert np.mean(inside) > 0.9


def test_where_all_is_known_the_partly_matured_band_is_the_final_one():
    random = np.random.default_rng(2)
    answers, outcomes, _ = a_day(random)
    losses = TASK.losses(outcomes, answers)
    ones = np.ones(len(losses))
    band = partly_matured(Early(TASK.expected_losses(answers), losses, ones, ones), 1.0, 0.05, 1)
    assert abs(band.value - losses.mean()) < 1e-9


def test_without_final_days_nobody_knows_how_soon_outcomes_come():
    random = np.random.default_rng(2)
    answers, outcomes, _ = a_day(random)
    ages = np.full(len(answers), HOUR_US)
    band = partly_matured(early(Maturing([]), answers, outcomes, ages, ages > 0), 1.0, 0.05, 1)
    assert "no days are final" in band.muted


def test_the_estimate_covers_the_final_value_in_ordinary_weeks():
    inside = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        history, gaps = history_of(random), []
        for _ in range(10):
            days = [sums_of(*a_day(random)[:2]) for _ in range(7)]
            week = sum(days, Sums())
            band = estimated(history, week, 7, gaps)
            if not band.muted:
                inside.append(band.low <= week.mean_loss <= band.high)
            gaps += [day.mean_gap for day in days]
    assert 0.93 <= np.mean(inside) <= 0.985
    assert len(inside) > 350


def test_the_estimate_is_muted_where_outcomes_are_not_as_answers_say():
    random = np.random.default_rng(3)
    history = history_of(random)
    days = [sums_of(*a_day(random, shift=0.15)[:2]) for _ in range(14)]
    week = sum(days[7:], Sums())
    before = estimated(history, week, 7, [])
    after = estimated(history, week, 7, [day.mean_gap for day in days])
    assert not before.muted
    assert not before.low <= week.mean_loss <= before.high  # nobody can see it without outcomes
    assert "outcomes are not as answers say" in after.muted


def test_the_final_band_is_the_mean_of_what_is_known():
    random = np.random.default_rng(4)
    days = [outcome_day(f"{n}", *a_day(random)) for n in range(28)]
    loss = sum((day.all for day in days), Sums()).mean_loss
    band = final(history_of(random), days)
    assert band.value == loss
    assert band.low < np.mean(history_of(random, 200).loss) < band.high
    assert band.high - band.low < 0.05
