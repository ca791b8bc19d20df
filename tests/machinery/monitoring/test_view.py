"""The page: status first, nothing from elsewhere, nothing of what others wrote is taken for its own."""

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from ringbound.features.frames import instants
from ringbound.monitoring.alarm import Alarm, Sign
from ringbound.monitoring.alerts import alerts_of, note_alarms
from ringbound.monitoring.budget import AlarmBudget
from ringbound.monitoring.report import Report
from ringbound.monitoring.run import run_monitors
from ringbound.monitoring.view import headline, page, status_lines
from ringbound.store import Store

DAY_US = 86_400_000_000
EVIL = '<script>alert("x")</script>'


@pytest.fixture
def report(store, bundle, profile, rows) -> Report:
    through = int(instants(rows.table["at"]).max() + 3 * DAY_US)
    return run_monitors(store, bundle, profile, through=through, days=28, budget=AlarmBudget()).report


def alarm(**more) -> Alarm:
    sign = Sign("weight", "strange", 0.4, 0.0, 0.01, 0.9)
    found = Alarm(
        "data/request", "2020-03-25", "warning", "weights are strange", "data", "see the scale", [sign], ["a1"]
    )
    return replace(found, **more)


def test_it_says_first_how_things_stand(tmp_path, report):
    store = Store(f"sqlite:///{tmp_path}/alerts.db")
    assert headline(report, []) == ("ok", "all is well: no alert is open")
    assert headline(None, [])[1].startswith("nothing is known yet")
    note_alarms(store, [alarm(), alarm(name="performance", severity="critical")], set(), "2020-03-25")
    alerts = alerts_of(store.alert_facts())
    assert headline(report, alerts) == ("critical", "2 alerts, 1 critical; 2 not acknowledged")
    assert status_lines(report, alerts)[0] == "2 alerts, 1 critical; 2 not acknowledged"
    shown = page(report, alerts)
    assert shown.index("2 alerts, 1 critical") < shown.index("weights are strange") < shown.index("<h2>Performance")
    assert '<a href="/receipts/a1">' in shown
    for name in ("estimated", "final", "depot=north", "minute_of_day"):
        assert name in shown


def test_it_loads_nothing_and_runs_nothing(tmp_path, report):
    store = Store(f"sqlite:///{tmp_path}/alerts.db")
    note_alarms(store, [alarm(says=EVIL, action=EVIL, examples=[EVIL])], set(), "2020-03-25")
    column = replace(report.columns[0], texts={EVIL: 3}, examples=[EVIL])
    shown = page(replace(report, columns=[column], notes=[EVIL]), alerts_of(store.alert_facts()))
    assert "<script" not in shown
    assert re.findall(r'(?:src|href)="(?!/receipts/)', shown) == []
    assert "http" not in shown.replace("http-equiv", "")


def test_a_report_is_the_same_when_read_back(report):
    assert Report.from_text(report.to_text(), "report") == report
    assert not np.isnan([band.value for band in report.bands]).any()


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium")
def test_it_fits_a_phone(tmp_path, report):
    file = tmp_path / "page.html"
    measure = "<script>document.title = document.documentElement.scrollWidth</script>"
    file.write_text(page(report, []).replace("</html>", f"{measure}</html>"))
    result = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={tmp_path}/c",
         "--window-size=500,900", "--virtual-time-budget=2000", "--dump-dom", f"file://{file}"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    width = re.search(r"<title>(\d+)</title>", result.stdout)
    assert width
    assert int(width[1]) <= 500
