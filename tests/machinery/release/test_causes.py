"""What is cause enough to learn anew."""

import numpy as np
import pytest

from ringbound.monitoring.alerts import Alert
from ringbound.monitoring.report import DayFigures, Report
from ringbound.release.causes import alert_cause, forecast_cause, schedule_cause


def alert(name: str, last: str = "2020-03-04", state: str = "open") -> Alert:
    return Alert(name, state, "2020-03-02", last, 1, False, {}, 1)


@pytest.mark.parametrize(
    ("policy", "alerts", "cause"),
    [
        ("drift", [alert("data/weather"), alert("performance")], "data/weather since 2020-03-02"),
        ("performance", [alert("data/weather"), alert("performance")], "performance since 2020-03-02"),
        (
            "performance",
            [alert("group/depot=hill"), alert("outcomes")],
            "group/depot=hill since 2020-03-02, outcomes since 2020-03-02",
        ),
        ("drift", [alert("data/weather", state="acknowledged")], ""),
        ("drift", [alert("data/weather", state="resolved")], ""),
        ("drift", [alert("data/weather", last="2020-03-01")], ""),
        ("drift", [alert("feedback/shop"), alert("code/skew"), alert("labels/delay")], ""),
        ("performance", [], ""),
    ],
)  # fmt: skip
def test_alerts_that_stand_and_are_later_than_what_was_learnt_are_a_cause(policy, alerts, cause):
    assert alert_cause(policy, alerts, "2020-03-01") == cause


def test_age_is_a_cause_from_the_day_on():
    assert schedule_cause("2020-03-01", "2020-03-30", 30) == ""
    assert schedule_cause("2020-03-01", "2020-03-31", 30) == "it learnt up to 2020-03-01, 30 days ago"


LEARNT, PRESENT = "2020-02-20", "2020-03-28"


def report(losses: list[float], *, promise: float | None = 0.5, final: bool = True) -> Report:
    days = [
        DayFigures(f"2020-03-{n + 1:02}", 100, 0.0, 0.2, 0.2, 0.5, loss, 1.0, final) for n, loss in enumerate(losses)
    ]
    return Report("m", "p", "log_loss", "probability", "", "", "", 0, 0, promise, 4.0, [], [], [], [], days, {}, {}, [])


def test_a_loss_that_rises_is_a_cause_before_it_is_too_high():
    noise = np.random.default_rng(0).normal(0, 0.01, 28)
    rising = (0.4 + 0.003 * np.arange(28) + noise).tolist()
    assert max(rising) < 0.515
    assert forecast_cause(report(rising), LEARNT, PRESENT, 14, 0.0).startswith("in 14 days its loss will be 0.52")
    assert forecast_cause(report(rising), LEARNT, PRESENT, 0, 0.0) == ""
    assert forecast_cause(report(rising), LEARNT, PRESENT, 14, 0.2) == ""


def test_days_without_an_outcome_do_not_bend_the_line():
    rising = [0.4 + 0.003 * n if n % 2 else None for n in range(28)]
    assert forecast_cause(report(rising), LEARNT, PRESENT, 14, 0.0).startswith("in 14 days its loss will be 0.523")
    assert forecast_cause(report(rising), LEARNT, "2020-04-01", 14, 0.0).startswith("in 14 days its loss will be 0.535")


def test_a_loss_that_does_not_rise_or_is_not_known_is_none():
    random = np.random.default_rng(1)

    def noise() -> str:
        losses = (0.48 + random.normal(0, 0.05, 28)).tolist()
        return forecast_cause(report(losses), LEARNT, PRESENT, 14, 0.03)

    flat = sum(noise() != "" for _ in range(200))
    assert flat <= 20  # a straight line through noise that is near the promise: 5% each, and no more
    rising = (0.4 + 0.01 * np.arange(28)).tolist()
    assert forecast_cause(report(rising, promise=None), LEARNT, PRESENT, 14, 0.0) == ""
    assert forecast_cause(report(rising, final=False), LEARNT, PRESENT, 14, 0.0) == ""
    assert forecast_cause(report(rising[:13]), LEARNT, PRESENT, 14, 0.0) == ""
    assert forecast_cause(report(rising), "2020-03-20", PRESENT, 14, 0.0) == "", (
        "what was learnt since is no cause again"
    )
