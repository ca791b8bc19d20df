import subprocess

import pytest

from flights.features import FEATURES
from ringbound.errors import FeatureError
from ringbound.features.catalog import catalogue, catalogue_at, describe, differences, load_features


def test_every_feature_is_described():
    for name, entry in catalogue(FEATURES).items():
        first, second, *_ = entry["text"].splitlines()
        assert first == f"{name}  {FEATURES.hash_of(name)}"
        assert second


def test_a_description_has_the_definition():
    text = describe(FEATURES, "origin_late_rate_3h")
    assert "rate of dep_late over 3h of departures, by origin" in text
    assert "return dep_delay >= 15" in text
    assert "local_clock(sched_dep, NEW_YORK)" in describe(FEATURES, "weekday")


def test_a_name_that_is_none_gets_the_nearest():
    with pytest.raises(FeatureError, match="there is origin_late_rate_3h"):
        describe(FEATURES, "origin_late_rate_2h")


def test_a_package_without_features_is_one_line():
    with pytest.raises(FeatureError, match=r"expected ringbound\.features\.FEATURES"):
        load_features("ringbound")


def test_differences_name_what_changed_and_not_prose(tmp_path, root):
    source = (root / "src/flights/features.py").read_text()
    (tmp_path / "src/flights").mkdir(parents=True)
    (tmp_path / "src/flights/__init__.py").write_text("")
    file = tmp_path / "src/flights/features.py"

    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=tmp_path, check=True)

    git("init", "-q")
    for tag, text in {
        "same": source.replace("Days from the nearest public holiday", "Days to or from the nearest public holiday"),
        "wider": source.replace('"dep_delay", ["1h", "3h"])', '"dep_delay", ["2h", "3h"])'),
        "later": source.replace("return dep_delay >= 15", "return dep_delay >= 30"),
    }.items():
        assert text != source, tag
        file.write_text(text)
        git("add", "-A")
        git("commit", "-qm", tag)
        git("tag", tag)
    now = catalogue(FEATURES)
    assert differences(catalogue_at("same", tmp_path, "flights"), now) == []
    assert differences(catalogue_at("wider", tmp_path, "flights"), now) == [
        "+ origin_delay_mean_1h",
        "- origin_delay_mean_2h",
    ]
    changed = differences(catalogue_at("later", tmp_path, "flights"), now)
    assert [line.split()[1] for line in changed if line.startswith("~")] == [
        "origin_late_rate_3h",
        "origin_carrier_late_rate_3h",
    ]
    assert "    +    return dep_delay >= 15" in changed
    with pytest.raises(FeatureError, match="expected a revision of this workspace"):
        catalogue_at("nowhere", tmp_path, "flights")
