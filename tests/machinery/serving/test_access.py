"""Who may ask: every route without a key, with a wrong one, with one of another role, revoked, or too often."""

import asyncio
import base64
import hmac
import json
import time
from contextlib import suppress

import pytest

from ringbound.errors import StoreError
from ringbound.serving import access as access_module
from ringbound.serving.access import Access
from ringbound.serving.body import DeniedError, NotThereError, OverloadError, UnknownError
from ringbound.serving.hot_path import HotPath
from ringbound.serving.service import build_service
from ringbound.serving.settings import ServiceSettings
from ringbound.store import ROLES, Store
from ringbound.testing.parcels import PROBLEM

ROUTES = {
    ("POST", "/predict"): "predict",
    ("POST", "/features"): "predict",
    ("POST", "/events"): "ingest",
    ("POST", "/outcomes"): "ingest",
    ("POST", "/receipts"): "operate",
    ("GET", "/receipts/abc"): "operate",
    ("GET", "/metrics"): "operate",
    ("GET", "/"): "",
    ("GET", "/docs.json"): "",
}


def bearer(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {token}".encode())]


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(f"sqlite:///{tmp_path}/store.db")


@pytest.fixture
def tokens(store) -> dict[str, str]:
    return {role: store.add_key(f"one who may {role}", [role]) for role in ROLES}


def access(store, **more) -> Access:
    return Access(store.all_keys, open=True, **more)


def test_without_keys_anybody_may_ask_where_nobody_else_can(store):
    access(store).check("/predict", [])
    with pytest.raises(UnknownError, match="got none"):
        Access(store.all_keys, open=False).check("/predict", [])
    Access(store.all_keys, open=False).check("/livez", [])


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_route_takes_its_role_and_no_other(store, tokens, method, path):
    held = access(store)
    for role, token in tokens.items():
        if ROUTES[method, path] in ("", role):
            held.check(path, bearer(token))
        else:
            with pytest.raises(
                DeniedError, match=f"expected a key of role {ROUTES[method, path]}; got one of role {role}"
            ):
                held.check(path, bearer(token))
    for wrong in ("", "nonsense", tokens["predict"][:-1], tokens["predict"] + "x", "rb_" + "0" * 12 + "_x", "é"):
        with pytest.raises(UnknownError):
            held.check(path, bearer(wrong))
    with pytest.raises(UnknownError, match="got none"):
        held.check(path, [])


def test_a_browser_may_send_the_key_as_a_password(store, tokens):
    held = access(store)
    said = base64.b64encode(f"anybody:{tokens['operate']}".encode())
    held.check("/metrics", [(b"authorization", b"Basic " + said)])
    for wrong in (b"Basic " + said[:-4], b"Basic !", b"Digest x", b"Basic /w==", "Basic é".encode()):
        with pytest.raises(UnknownError):
            held.check("/metrics", [(b"authorization", wrong)])


def test_a_wrong_key_is_compared_like_a_right_one(store, tokens, monkeypatch):
    """Whatever is wrong about it: one digest, one comparison in constant time."""
    held, compared = access(store), []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or real(a, b))
    held.check("/predict", bearer(tokens["predict"]))
    for wrong in ("", "x", tokens["predict"][:-1], "rb_unknown_x"):
        with pytest.raises(UnknownError):
            held.check("/predict", bearer(wrong))
    assert compared == [(64, 64)] * 5


def test_all_keys_revoked_is_not_no_keys(store):
    token = store.add_key("gone", ["predict"])
    store.revoke_key("gone")
    held = access(store)
    for headers in ([], bearer(token)):
        with pytest.raises(UnknownError):
            held.check("/predict", headers)


def test_while_the_store_is_away_the_keys_that_were_read_last_hold(store, tokens):
    answers = [store.all_keys()]
    held = Access(lambda: answers.pop() if answers else _away(), open=True)
    held.refresh()
    held.check("/predict", bearer(tokens["predict"]))
    with pytest.raises(UnknownError):
        held.check("/predict", [])


def test_what_is_no_route_is_not_there_whatever_the_key(store):
    held, paths = (
        access(store),
        ("/metrics\n", "//metrics", "/Metrics", "/metrics/", "/admin", "/docs.json/x", "/predict/x"),
    )
    for path in paths:
        with pytest.raises(NotThereError):
            held.check(path, [])
    tokens = [store.add_key(role, [role]) for role in ROLES]
    held.refresh()
    for path in paths:
        for token in tokens:
            with pytest.raises(NotThereError):
                held.check(path, bearer(token))


def test_who_starts_while_the_store_is_away_knows_the_keys_that_were_seen_here(store, tokens, tmp_path):
    kept = tmp_path / "ops/keys.json"
    Access(store.all_keys, open=True, kept=kept)
    assert kept.stat().st_mode & 0o077 == 0
    assert not any(token in kept.read_text() for token in tokens.values())
    held = Access(_away, open=True, kept=kept)
    held.check("/predict", bearer(tokens["predict"]))
    with pytest.raises(UnknownError):
        held.check("/predict", [])
    kept.write_text("{")
    with pytest.raises(UnknownError):
        Access(_away, open=True, kept=kept).check("/predict", [])


@pytest.mark.parametrize(("rate", "workers"), [(5, 1), (50, 1), (400, 1), (400, 4)])
@pytest.mark.parametrize("asked", [1.3, 3, 20])
def test_a_rate_is_held_within_five_in_a_hundred(store, rate, workers, asked):
    token, now = store.add_key("shop", ["predict"], rate), [1000.0]
    held, passed, seconds = access(store, workers=workers, monotonic=lambda: now[0]), 0, 20
    number = int(rate * asked * seconds / workers)
    for turn in range(number):
        now[0] = 1000.0 + turn * seconds / number
        with suppress(OverloadError):
            held.check("/predict", bearer(token))
            passed += 1
    assert passed * workers == pytest.approx(rate * seconds, rel=0.05)


def test_who_asks_less_than_the_rate_is_never_refused(store):
    token, now = store.add_key("shop", ["predict"], 10), [0.0]
    held = access(store, monotonic=lambda: now[0])
    for turn in range(100):
        now[0] = turn * 0.1001
        held.check("/predict", bearer(token))


@pytest.mark.parametrize(
    ("name", "roles", "rate", "says"),
    [
        ("x", [], 0, "expected roles out of predict, ingest, operate; got none"),
        ("x", ["root"], 0, r"got \['root'\]"),
        ("", ["predict"], 0, "expected a name"),
        ("a\nb", ["predict"], 0, "expected a name"),
        ("x", ["predict"], -1, "expected a rate"),
        ("x", ["predict"], float("nan"), "expected a rate"),
        ("taken", ["predict"], 0, "expected a name that is not taken"),
    ],
)
def test_a_key_that_cannot_be_is_one_line(store, name, roles, rate, says):
    store.add_key("taken", ["predict"])
    with pytest.raises(StoreError, match=says):
        store.add_key(name, roles, rate)
    assert len(store.all_keys()) == 1
    with pytest.raises(StoreError, match="there is none 'nobody'"):
        store.revoke_key("nobody")


def test_a_name_can_be_given_again_after_its_key_is_revoked(store):
    first = store.add_key("shop", ["predict"])
    store.revoke_key("shop")
    second = store.add_key("shop", ["predict"])
    held = access(store)
    held.check("/predict", bearer(second))
    with pytest.raises(UnknownError):
        held.check("/predict", bearer(first))


async def _never(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"past the keys"})


def ask(path: HotPath, method: str, where: str, headers=()) -> tuple[int, dict, bytes]:
    sent = []
    body = json.dumps({"rows": [dict(PROBLEM.examples[0])]}).encode()

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": where,
        "headers": [(b"content-type", b"application/json"), *headers],
    }
    asyncio.run(path(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.fixture
def service(bundle_folder, log, store):
    """A service, and what asks it through all that stands before it; the tokens come later."""
    made = build_service(ServiceSettings(bundle_folder, str(store.engine.url), clock="event")).inner()
    yield HotPath(_never, lambda: made.serving)
    made.shutdown()


def test_a_service_holds_its_routes_by_keys_that_come_and_go_while_it_runs(service, store, monkeypatch):
    assert ask(service, "GET", "/")[2] == b"past the keys"
    token = store.add_key("shop", ["predict"])
    assert until(lambda: ask(service, "POST", "/predict")[0] == 401) < 1.0
    status, headers, content = ask(service, "GET", "/docs.json")
    assert (status, headers[b"www-authenticate"][:5]) == (401, b"Basic")
    assert json.loads(content)["error"].startswith("expected a key that holds")
    assert ask(service, "POST", "/predict", bearer(token))[0] == 200
    assert ask(service, "POST", "/events", bearer(token))[0] == 403
    for path in (
        "/metrics\n",
        "/events\n",
        "/\x00",
        "/metrics\x7f",
    ):  # what matches routes takes some of these for none
        assert ask(service, "GET", path, bearer(token))[0] == 404
    assert ask(service, "GET", "/livez")[0] == 200
    store.revoke_key("shop")
    assert until(lambda: ask(service, "POST", "/predict", bearer(token))[0] == 401) < 1.0


def until(holds) -> float:
    """Return the seconds until something holds."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() < started + 5
        time.sleep(0.01)
    return time.monotonic() - started


def _away():
    raise StoreError("store: away")


def test_every_route_of_the_page_has_its_role(service):
    """A route that is added is not open by mistake."""
    assert set(service.service().routes) <= {path for (_, path), role in ROUTES.items() if role}
    assert all(access_module.NEEDED[route] for route in service.service().routes)
