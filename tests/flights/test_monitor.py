"""What the monitors make of the year, of faults and of quiet years, as the pipeline has measured it."""

import csv
import json


def test_the_budget_is_held_every_fault_is_found_and_december_is_reported(root):
    found = json.loads((root / "data/reports/monitoring.json").read_text())
    assert found["false_alarms_a_year"] <= found["allowed_a_year"]
    assert (found["faults"], found["faults_found"], found["faults_named"]) == (12, 12, 12)
    assert found["recall"] == 1.0
    with (root / "data/reports/replay.csv").open() as file:
        months = {row["month"]: row for row in csv.DictReader(file)}
    assert "performance (12-" in months["2013-12"]["alarms"]
    assert [name for name, row in months.items() if row["bad"]] == ["2013-12"]
    # In April the answers led to expect much less than was lost, though that was hardly more than promised.
    assert [name for name, row in months.items() if "performance" in row["alarms"]] == ["2013-04", "2013-12"]
