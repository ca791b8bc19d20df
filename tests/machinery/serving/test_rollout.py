"""A service that follows its environment: promotions under load, challengers of other code, and those that are stopped."""

import asyncio
import gc
import io
import json
import shutil
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

import ringbound
from ringbound.errors import InputError, StoreError
from ringbound.features.frames import columns_of
from ringbound.features.history import PAST, deliveries
from ringbound.models.bundle import load_bundle, write_bundle
from ringbound.models.candidates import fit_linear
from ringbound.models.encoding import Encoder, learn_vocabularies
from ringbound.models.facts import Learnt
from ringbound.models.prior import learn_prior
from ringbound.models.rung import Rung
from ringbound.problem.declaration import load_problem
from ringbound.rollout.plan import Plan, state_of
from ringbound.rollout.view import history_lines, page, status_lines
from ringbound.serving import routes
from ringbound.serving.arm import Arms
from ringbound.serving.routes import Serving
from ringbound.serving.settings import ServiceSettings
from ringbound.serving.version import load_arm
from ringbound.store import Outcome, Store
from ringbound.testing import parcels as parcels_module
from ringbound.workspace.isolated import IsolatedPackages

HOUR = 3_600_000_000
PROBLEM_TEXT = Path(parcels_module.__file__).read_text("utf-8")
DEADLINE_S = 1.0
KINDS = {
    "first": ("1", ""),
    "second": ("2", ""),
    "slow": ("1", "time.sleep(0.02)"),
    "hangs": ("1", "time.sleep(600 if threading.current_thread().name == 'beside' else 0)"),
    "hangs always": ("1", "time.sleep(4 if threading.current_thread().name in ('beside', 'answers') else 0)"),
    "strict": ("1", ""),
    "worse": ("1", ""),
    "own": ("3", ""),
}


class Made:
    """A version: its folder as a Bento has it, and its archive."""

    def __init__(self, folder: Path, code: str):
        self.folder, self.code = folder, code
        self.src = folder / "src"

    @property
    def about(self) -> dict[str, str]:
        return {"version": self.code, "model": load_model_version(self.src), "code": self.code}

    def archive(self) -> bytes:
        (self.folder / "bento.yaml").write_text(f"version: {self.code}\n")
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as packed:
            for file in sorted(path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".pyc"):
                packed.add(file, file.relative_to(self.folder).as_posix())
        return out.getvalue()


def load_model_version(src: Path) -> str:
    return json.loads((src / "bundle/bundle.json").read_text())["model"]["version"]


@pytest.fixture(scope="module")
def versions(tmp_path_factory, parcels, references, windowed):
    """Versions of a shop's model, each with code of its own under the same names."""
    made = {}
    for kind, (factor, does) in KINDS.items():
        version = Made(tmp_path_factory.mktemp(kind.replace(" ", "_")), f"code-{kind}")
        shop = version.src / "shop"
        shop.mkdir(parents=True)
        (shop / "__init__.py").write_text("")
        (shop / "scale.py").write_text(f"FACTOR = {factor}\n\n\ndef scaled(value):\n    return value**FACTOR\n")
        body = f"    from shop.scale import scaled\n\n    {does or 'pass'}\n    return scaled(weight_kg)\n"
        text = PROBLEM_TEXT.replace("    return weight_kg\n", body).replace(
            "import numpy as np\n", "import threading\nimport time\n\nimport numpy as np\n", 1
        )
        if kind == "strict":
            text = text.replace("ge=1, le=99", "ge=1, le=50")
        if kind == "own":
            text = text.replace(
                'late_mean=("mean", "late_min", ["1h", "3h"])', 'late_mean=("mean", "late_min", ["2h", "5h"])'
            )
        (shop / "problem.py").write_text(text)
        machinery = version.src / "ringbound/features"
        machinery.mkdir(parents=True)
        shutil.copy(Path(ringbound.__file__).parent / "features/asof.py", machinery)
        packages = IsolatedPackages(version.src)
        packages.enter()
        problem = load_problem(packages.alias("shop.problem:PROBLEM"))
        known = dict(windowed)
        if kind == "own":
            known |= {
                "depot_late_mean_2h": known["depot_late_mean_1h"],
                "depot_late_mean_5h": known["depot_late_mean_3h"],
            }
        slow = time.sleep
        time.sleep = lambda seconds: None
        features = problem.features.compute(columns_of(parcels), references, known)
        time.sleep = slow
        encoder = Encoder(problem.features.numbers, learn_vocabularies(features, problem.features.categories))
        late = parcels["late"].fillna(1).to_numpy()
        target = 1 - late if kind == "worse" else late
        X = encoder.matrix(features)
        model = fit_linear(X, target, sizes=encoder.sizes, task=problem.task, seed=1, strength=0.1)
        write_bundle(
            version.src / "bundle",
            problem=problem,
            full=Rung(encoder, model),
            prior=learn_prior(features, late, problem.prior, problem.task),
            default=float(late.mean()),
            references=references,
            learnt=Learnt(len(parcels), "2020-03-10", "2020-03-30", "no table", kind, {}, 1),
            entry="shop.problem:PROBLEM",
        )
        packages.leave()
        made[kind] = version
    return made


@pytest.fixture
def store(events, tmp_path) -> Store:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    for name in events.sources:
        store.append(name, deliveries(events, name, events.until - 8 * 24 * HOUR, events.until).events, PAST)
    return store


@pytest.fixture
def installed(versions, monkeypatch):
    """The first version's code is what is installed."""
    monkeypatch.syspath_prepend(str(versions["first"].src))
    yield versions["first"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


@pytest.fixture
def serving(installed, store, monkeypatch):
    """A service that follows prod, which has the first version; it looks often."""
    monkeypatch.setattr(routes, "BEAT_S", 0.1)
    serve(store, installed)
    settings = ServiceSettings(
        installed.src / "bundle",
        str(store.engine.url),
        clock="event",
        environment="prod",
        code=installed.code,
        deadline_ms=DEADLINE_S * 1000,
    )
    made = Serving(load_bundle(settings.bundle), settings)
    gc.collect()
    gc.freeze()  # as the service does: the garbage of other tests is none of its business
    yield made
    made.close()
    gc.unfreeze()


def serve(store: Store, version: Made) -> None:
    store.put_bento(version.code, version.archive())
    store.add_fact("prod", "serve", details={"why": "for a test"}, **version.about)


def start(store: Store, version: Made, **plan) -> int:
    store.put_bento(version.code, version.archive())
    details = {"plan": Plan(**{"key": "route", "salt": "s", "hold_s": 1e6} | plan).to_json()}
    return store.add_fact("prod", "start", details=details, **version.about)


def question(number: int, **more) -> dict:
    plain = {"depot": "north", "route": number % 99 + 1, "weight_kg": number % 20, "courier": "c07"}
    return plain | {"promised": "2020-03-29T23:30:00Z", "at": "2020-03-29T21:30:00Z"} | more


async def ask(serving: Serving, *numbers: int, **more) -> list[dict]:
    body = {"rows": [question(number, **more) for number in numbers]}
    return (await serving.routes["/predict"](json.dumps(body).encode()))["predictions"]


async def drive(serving: Serving, until, *, seconds: float = 20.0, every: float = 0.005, told=None) -> list[dict]:
    """Ask, each row in a request of its own, until something holds; the answers."""
    answers, ends, number, waiting = [], time.monotonic() + seconds, 0, set()

    async def one(number: int) -> None:
        answers.extend(await ask(serving, number))
        if told:
            told(answers[-1])

    while not until():
        assert time.monotonic() < ends, "it takes too long"
        waiting.add(asked := asyncio.ensure_future(one(number)))
        asked.add_done_callback(waiting.discard)
        number += 1
        await asyncio.sleep(every)
    await asyncio.gather(*waiting)
    return answers


def eventually(holds, seconds: float = 10.0):
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it takes too long"
        time.sleep(0.02)


def facts(store: Store) -> list:
    return store.facts("prod")


def ended(store: Store) -> bool:
    return state_of(facts(store)).rollout is None


def test_promotions_and_rollbacks_under_load_cost_no_request_and_no_record(serving, store, versions, caplog):
    pair = [versions["second"], versions["first"]]
    in_force = {one.about["model"] for one in pair}
    done = []

    def change() -> bool:
        code = serving.arms.champion.code
        if not done or code == done[-1].code:
            if len(done) == 50:
                return True
            done.append(pair[len(done) % 2])
            store.add_fact("prod", "serve", details={"why": "turn"}, **done[-1].about)
        return False

    store.put_bento(pair[0].code, pair[0].archive())
    answers = asyncio.run(drive(serving, change, seconds=120))
    assert len(answers) > 1000
    assert {answer["model_version"] for answer in answers} == in_force
    # On a machine that is busy with others some wait too long, whatever the thread is at; nothing itself has failed.
    assert {answer["reason"] for answer in answers} <= {None, "overload", "store", "model"}
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
    assert [answer["reason"] for answer in answers].count(None) > 0.9 * len(answers)
    eventually(lambda: not serving._retired, 20)
    kept = {one.prediction_id: one for one in store.predictions(1_000_000)}
    assert {answer["prediction_id"] for answer in answers} <= kept.keys()
    # One that was stepped down just as the thread wrote it is there twice, by either rung.
    assert len(kept) - len(answers) <= sum(answer["reason"] is not None for answer in answers)
    for answer in answers:
        one = kept[answer["prediction_id"]]
        assert (one.model_version, one.answer) == (answer["model_version"], answer["probability"])
        assert one.code == next(v.code for v in pair if v.about["model"] == one.model_version)
    beside = {name.partition(".")[0] for name in sys.modules if "@" in name}
    assert len(beside) == 1  # that of the last, and none of the fifty before


def test_a_challenger_with_features_of_its_own_answers_its_share_of_keys_as_it_would_alone(serving, store, versions):
    start(store, versions["own"], steps=(0.5,))
    eventually(lambda: serving.arms.challenger is not None)
    first = asyncio.run(ask(serving, *range(99)))
    again = asyncio.run(ask(serving, *reversed(range(99))))[::-1]
    arm = [one["model_version"] for one in first]
    assert arm == [one["model_version"] for one in again]
    assert 30 < arm.count(versions["own"].about["model"]) < 70
    alone = load_arm(versions["own"].archive(), "alone", serving.settings, serving.arms.champion)
    rows = [alone.validated(question(number), number) for number in range(99)]
    expected = alone.predictor.answer_beside(rows, alone.predictor.known_beside(rows)).values
    alone.stop(1.0)
    alone.forget([])
    mine = [n for n, version in enumerate(arm) if version == versions["own"].about["model"]]
    assert [first[n]["probability"] for n in mine] == [expected[n] for n in mine]
    shown = asyncio.run(serving.receipt(first[mine[0]]["prediction_id"]))
    assert shown["lineage"]["code"] == "code-own"
    assert isinstance(shown["values"]["depot_late_mean_5h"], float)


def test_in_shadow_the_champion_answers_and_both_are_kept(serving, store, versions):
    begun = start(store, versions["second"], steps=(0.0,))
    eventually(lambda: serving.arms.challenger is not None)
    answers = asyncio.run(ask(serving, *range(40)))
    assert {answer["model_version"] for answer in answers} == {versions["first"].about["model"]}
    eventually(lambda: len(store.pairs(begun, 0)) == 40)
    pairs = [pair for _, pair in store.pairs(begun, 0)]
    assert {one.prediction_id: one.champion for one in pairs} == {a["prediction_id"]: a["probability"] for a in answers}
    assert all(one.challenger != one.champion and one.arm == "champion" for one in pairs)
    assert not any(one.champion_failed or one.challenger_failed for one in pairs)
    assert {one.batch for one in pairs if one.champion_us is not None} == {one.batch for one in pairs}


def stopped_by(serving, store, version: Made, gate: str, *, share: float = 0.1) -> list[dict]:
    """Roll out a version that is bad, and see it stopped by a gate, and all answered meanwhile and after."""
    start(store, version, steps=(share,))
    eventually(lambda: serving.arms.challenger is not None)
    answers = asyncio.run(drive(serving, lambda: ended(store), seconds=30))
    stop = next(fact for fact in facts(store) if fact.kind == "stop")
    assert stop.details["why"].startswith(f"{gate}: ")
    assert stop.details["evidence"]["pairs"] > 0
    eventually(lambda: serving.arms.challenger is None)
    after = asyncio.run(ask(serving, *range(99)))
    assert {one["model_version"] for one in after} == {serving.arms.champion.bundle.version}
    assert all("probability" in one for one in answers)
    return answers


def test_a_slow_challenger_is_stopped_and_holds_the_champion_up_for_nobody(serving, store, versions):
    stopped_by(serving, store, versions["slow"], "latency")


def test_a_challenger_that_refuses_what_the_champion_takes_is_stopped_and_its_rows_are_answered(
    serving, store, versions
):
    answers = stopped_by(serving, store, versions["strict"], "failures", share=1.0)
    assert {answer["rung"] for answer in answers} == {"full"}


def test_a_challenger_that_hangs_is_stopped_and_the_next_is_judged_by_itself(serving, store, versions, monkeypatch):
    monkeypatch.setattr("ringbound.serving.beside.HANGS_S", 0.3)
    answers = stopped_by(serving, store, versions["hangs"], "failures")
    assert {answer["reason"] for answer in answers} == {None}
    begun = start(store, versions["second"], steps=(0.0,))
    eventually(lambda: serving.arms.challenger is not None)
    asyncio.run(ask(serving, *range(40)))
    eventually(lambda: len(store.pairs(begun, 0)) == 40)
    assert not any(pair.challenger_failed for _, pair in store.pairs(begun, 0))


def test_a_challenger_that_hangs_where_it_answers_holds_up_its_own_rows_alone(serving, store, versions):
    start(store, versions["hangs always"], steps=(0.5,))
    eventually(lambda: serving.arms.challenger is not None)
    answers = []

    async def timed(number: int) -> None:
        begun = time.monotonic()
        (answer,) = await ask(serving, number)
        answers.append((time.monotonic() - begun, answer["model_version"], answer["rung"]))

    async def all_at_once() -> None:
        await asyncio.gather(*(timed(number) for number in range(40)))

    asyncio.run(all_at_once())
    champion = serving.arms.champion.bundle.version
    assert max(took for took, version, _ in answers if version == champion) < DEADLINE_S
    assert {rung for _, version, rung in answers if version == champion} == {"full"}
    mine = [(took, rung) for took, version, rung in answers if version != champion]
    assert {rung for _, rung in mine} == {"prior"}
    assert max(took for took, _ in mine) < 3 * DEADLINE_S


def test_a_store_that_is_away_speaks_against_nobody(serving, store, versions, monkeypatch):
    begun = start(store, versions["own"], steps=(1.0,))
    eventually(lambda: serving.arms.challenger is not None)
    real = Store.tail
    monkeypatch.setattr(Store, "tail", lambda *_, **__: (_ for _ in ()).throw(StoreError("store: away")))
    answers = asyncio.run(ask(serving, *range(40)))
    assert {answer["reason"] for answer in answers} == {"store"}
    time.sleep(0.5)
    monkeypatch.setattr(Store, "tail", real)
    time.sleep(1.1)  # until it is asked again
    asyncio.run(ask(serving, *range(40)))
    eventually(lambda: len(store.pairs(begun, 0)) >= 40)
    pairs = [pair for _, pair in store.pairs(begun, 0)]
    assert not any(one.challenger_lower or one.challenger_failed or one.champion_lower for one in pairs)


def test_who_is_refused_has_no_record(serving, store, versions):
    start(store, versions["second"], steps=(0.5,))
    eventually(lambda: serving.arms.challenger is not None)
    rows = [question(number) for number in range(60)]
    wrong = [number for number, row in enumerate(rows) if serving.arms.of(row) is serving.arms.champion][-1]
    rows[wrong]["weight_kg"] = "heavy"
    with pytest.raises(InputError, match=f"row {wrong}: weight_kg"):
        asyncio.run(serving.predict(rows))
    assert store.predictions(10) == []
    told = asyncio.run(serving.predict(rows, partial=True))
    assert ["error" in one for one in told] == [number == wrong for number in range(60)]
    assert len(store.predictions(100)) == 59


def test_a_request_that_is_on_its_way_while_arms_are_swapped_is_answered_and_recorded(
    serving, store, versions, monkeypatch
):
    start(store, versions["hangs always"], steps=(1.0,))
    eventually(lambda: serving.arms.challenger is not None)
    monkeypatch.setattr(routes, "LINGER_S", 0.05)

    async def asks() -> dict:
        waiting = asyncio.ensure_future(ask(serving, 1))
        await asyncio.sleep(0.02)
        serving.swap(Arms(serving.arms.champion))
        (answer,) = await waiting
        return answer

    answer = asyncio.run(asks())
    assert answer["model_version"] == versions["hangs always"].about["model"]
    eventually(lambda: answer["prediction_id"] in store.find([answer["prediction_id"]]), 60)


def test_what_an_arm_could_not_record_is_recorded_after_it_was_left(installed, store, versions):
    serve(store, versions["second"])
    place = Path(store.engine.url.database)
    files = [place.with_name(place.name + end) for end in ("", "-wal", "-shm")]
    store.close()
    moved = [(file, file.rename(f"{file}.away")) for file in files if file.exists()]
    place.mkdir()  # what is no store cannot be opened
    settings = ServiceSettings(
        installed.src / "bundle", str(store.engine.url), clock="event", environment="prod", code=installed.code
    )
    made = Serving(load_bundle(settings.bundle), settings)
    (answer,) = asyncio.run(ask(made, 1, at=None))
    assert (answer["recorded"], answer["model_version"]) == (False, installed.about["model"])
    place.rmdir()
    for file, away in moved:
        away.rename(file)
    eventually(lambda: made.arms.champion.code == "code-second", 20)
    eventually(lambda: answer["prediction_id"] in Store(settings.store).find([answer["prediction_id"]]), 20)
    made.close()


def test_connections_are_let_go_with_the_arm_that_had_them(serving, store, versions):
    start(store, versions["own"], steps=(0.0,))
    eventually(lambda: serving.arms.challenger is not None)
    challenger = serving.arms.challenger
    assert challenger.predictor.live is not serving.arms.champion.predictor.live
    asyncio.run(ask(serving, *range(5)))
    store.add_fact("prod", "stop", details={"why": "enough"}, **versions["own"].about)
    eventually(lambda: not serving._retired and serving.arms.challenger is None)
    let_go = challenger.predictor.live.store
    # It is no arm any more before its connections are let go.
    eventually(lambda: let_go.engine.pool.checkedout() == 0 and let_go._reading is None)
    assert serving.beside is None


def test_a_worse_challenger_is_stopped_as_outcomes_come(serving, store, versions):
    def came(answer: dict) -> None:
        late = int(answer["prediction_id"][:8], 16) / 2**32 < answer["probability"]
        store.tell([Outcome(answer["prediction_id"], 1_585_000_000_000_000, float(late))])

    # It says the opposite: that it decides otherwise is not to be what stops it.
    start(store, versions["worse"], steps=(0.0,), apart=0.999, slower=100.0)  # nor that the machine is busy
    eventually(lambda: serving.arms.challenger is not None)
    asyncio.run(drive(serving, lambda: ended(store), seconds=40, told=came))
    stop = next(fact for fact in facts(store) if fact.kind == "stop")
    assert stop.details["why"].startswith("loss: ")
    assert stop.details["evidence"]["matured"] >= 100


def test_a_good_challenger_goes_its_steps_and_serves(serving, store, versions):
    start(store, versions["second"], steps=(0.0, 0.5, 1.0), hold_s=0.5, rows=20, promote=True)
    asyncio.run(drive(serving, lambda: serving.arms.champion.code == "code-second", seconds=40))
    kinds = [fact.kind for fact in facts(store) if fact.kind != "look"]
    assert kinds == ["serve", "start", "step", "step", "serve"]
    assert facts(store)[-1].details["evidence"]["pairs"] >= 60
    assert serving.arms.challenger is None
    lines = "\n".join(status_lines(facts(store)))
    assert "promoted" in lines
    assert "as a share of what stops it" in lines
    assert [line.split()[1] for line in history_lines(facts(store))] == kinds
    assert "<polyline" in page("prod", facts(store))


def test_without_leave_to_promote_it_stays_at_its_last_step(serving, store, versions):
    start(store, versions["second"], steps=(1.0,), hold_s=0.1, rows=5)
    eventually(lambda: serving.arms.challenger is not None)
    begun = time.monotonic()
    asyncio.run(drive(serving, lambda: time.monotonic() - begun > 2.0))
    assert serving.arms.challenger is not None
    assert [fact.kind for fact in facts(store) if fact.kind != "look"] == ["serve", "start"]


def test_a_challenger_made_with_other_machinery_is_stopped_by_name(serving, store, versions, tmp_path):
    other = Made(tmp_path / "other", "code-other")
    shutil.copytree(versions["second"].folder, other.folder)
    (other.src / "ringbound/features/asof.py").write_text("# other\n")
    start(store, other)
    eventually(lambda: ended(store))
    assert "ringbound/features/asof.py" in facts(store)[-1].details["why"]
    assert serving.arms.challenger is None


@pytest.mark.parametrize("damage", ["digest", "features", "archive", "code", "exit"])
def test_a_version_that_is_damaged_is_not_served_and_the_service_goes_on(serving, store, versions, tmp_path, damage):
    broken = Made(tmp_path / "broken", "code-broken")
    shutil.copytree(versions["second"].folder, broken.folder)
    if damage == "digest":
        file = broken.src / "bundle/full.json"
        file.write_bytes(file.read_bytes().replace(b"1", b"2", 1))
    elif damage == "features":
        (broken.src / "shop/scale.py").write_text("def scaled(value):\n    return value * 5\n")
    elif damage == "code":
        (broken.src / "shop/problem.py").write_text("raise ValueError('no')\n")
    elif damage == "exit":
        (broken.src / "shop/problem.py").write_text("import sys\nsys.exit(3)\n")
    archive = broken.archive() if damage != "archive" else b"no archive"
    about = broken.about
    store.put_bento(broken.code, archive)
    store.add_fact("prod", "serve", details={"why": "by mistake"}, **about)
    time.sleep(1.5)
    assert serving.arms.champion.code == "code-first"
    assert asyncio.run(ask(serving, 1))[0]["rung"] == "full"
    serve(store, versions["second"])
    eventually(lambda: serving.arms.champion.code == "code-second")


def test_a_service_that_starts_serves_what_its_environment_has(installed, store, versions):
    serve(store, versions["second"])
    settings = ServiceSettings(
        installed.src / "bundle", str(store.engine.url), clock="event", environment="prod", code=installed.code
    )
    made = Serving(load_bundle(settings.bundle), settings)
    assert made.arms.champion.code == "code-second"
    made.close()
    alone = Serving(
        load_bundle(settings.bundle), ServiceSettings(installed.src / "bundle", settings.store, clock="event")
    )
    assert alone.arms.champion.bundle.version == installed.about["model"]
    alone.close()


def test_two_who_decide_at_once_decide_once(store, versions):
    about = versions["first"].about
    first = store.add_fact("prod", "serve", details={}, last=0, **about)
    assert first
    assert store.add_fact("prod", "serve", details={}, last=0, **about) is None
    assert store.add_fact("prod", "look", details={}, **about)
    assert store.add_fact("prod", "stop", details={}, last=first, **about)
    assert store.add_fact("stage", "serve", details={}, last=0, **about)


def test_a_bento_that_is_changed_in_the_store_is_refused(store, versions):
    store.put_bento("c", b"1234")
    with store._writing() as connection:
        connection.exec_driver_sql("UPDATE bentos SET archive = X'00'")
    with pytest.raises(Exception, match="not what was kept"):
        store.bento("c")
    with pytest.raises(Exception, match="it is not there"):
        store.bento("d")


def test_code_beside_is_another_also_where_it_is_imported_late(versions):
    first, second = (IsolatedPackages(versions[kind].src) for kind in ("first", "second"))
    values = np.array([1.0, 2.0])
    for packages in (first, second):
        packages.enter()
    one, other = (load_problem(packages.alias("shop.problem:PROBLEM")) for packages in (first, second))
    assert one.features.hash != other.features.hash
    assert other.features.hash == load_facts_hash(versions["second"])
    weigh = lambda problem: problem.features.functions["weight"](values)  # noqa: E731
    assert (weigh(one).tolist(), weigh(other).tolist()) == ([1.0, 2.0], [1.0, 4.0])
    for packages in (first, second):
        packages.leave()
    assert not [name for name in sys.modules if name.endswith((f"@{first.mark}", f"@{second.mark}"))]


def load_facts_hash(version: Made) -> str:
    return json.loads((version.src / "bundle/bundle.json").read_text())["model"]["features"]
