"""What served when, and what each change was worth."""

import numpy as np
import pytest

from ringbound import fit_beside
from ringbound.features.definition import AT
from ringbound.features.frames import instants
from ringbound.models.bundle import load_bundle
from ringbound.monitoring.answers import put_into
from ringbound.release.history import changes_of, history_lines, worths_of, write_page
from ringbound.store import Store
from ringbound.testing import examples
from ringbound.workspace import layout
from versions import Versions


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A repository in which a poor model was followed by a good one, which was rolled back, and what both answered."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{name}_NAME", "Ann")
            patch.setenv(f"GIT_{name}_EMAIL", "ann@example.org")
        made = Versions(tmp_path_factory.mktemp("versions"))
        store = Store(f"sqlite:///{made.root}/store.db")
        later = examples.later()
        half = len(later) // 2
        for number, strength in enumerate((1e-6, 1.0)):
            rung = fit_beside(examples.past(), [examples.LINEAR], "linear", seed=1, strength=strength)
            made.commit(f"strength {strength}", rung)
            made.registry.register()
            made.registry.promote(f"v{number + 1}", "prod", force=True, reason="it is tried")
            rows = np.arange(number * half, (number + 1) * half)
            known = instants(later.table[AT.name])[rows] + 3_600_000_000
            put_into(store, load_bundle(made.root / layout.MODELS), later.where(rows), known, numbers=rows)
        made.registry.rollback("prod", reason="a mistake")
        yield made, store
        store.close()


def test_it_says_what_served_since_when_and_why(served):
    changes = changes_of(served[0].registry, "prod")
    assert [change.version for change in changes] == ["v1", "v2", "v1"]
    assert changes[0].model == changes[2].model != changes[1].model
    assert "it is tried" in changes[0].why
    assert "a mistake" in changes[2].why
    assert all("ann@example.org" in change.who for change in changes)
    assert changes_of(served[0].registry, "canary") == []


def test_a_change_is_worth_what_the_one_before_would_have_lost_more(served):
    made, store = served
    changes = changes_of(made.registry, "prod")
    first, better, back = worths_of(made.registry, changes, store)
    assert first.why_not == "nothing served before"
    later = examples.later()
    rows = later.where(np.arange(len(later) // 2, 2 * (len(later) // 2)))
    y = rows.y[~np.isnan(rows.y)]
    poor = fit_beside(examples.past(), [examples.LINEAR], "linear", seed=1, strength=1e-6).answer(rows.features)
    task = later.problem.task
    assert better.rows == len(y)
    assert better.before == pytest.approx(task.losses(y, poor[~np.isnan(rows.y)]).mean(), abs=1e-12)
    assert better.saved.value == pytest.approx(better.before - better.loss)
    assert better.saved.low < better.saved.value < better.saved.high
    assert better.saved.value > 0 > back.saved.value


def test_without_answers_it_says_why_nothing_is_known(served, tmp_path):
    made = served[0]
    changes = changes_of(made.registry, "prod")
    empty = Store(f"sqlite:///{tmp_path}/empty.db")
    assert [one.why_not for one in worths_of(made.registry, changes, empty)][1:] == [
        "it has answered nothing that is recorded"
    ] * 2
    empty.close()
    assert worths_of(made.registry, changes, None)[1].why_not == "there is no store with answers"


def test_lines_and_page_say_the_same(served, tmp_path):
    made, store = served
    changes = changes_of(made.registry, "prod")
    worths = worths_of(made.registry, changes, store)
    lines = history_lines(changes, worths)
    assert len(lines) == 6
    write_page(tmp_path / "page.html", "prod", changes, worths)
    page = (tmp_path / "page.html").read_text()
    assert str(worths[1]).split(":")[0] in page
    assert page.count("<svg") == 2
    assert "http" not in page
