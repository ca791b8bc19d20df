"""The hash of a definition: whatever a feature can reach changes it, and nothing else does."""

import hashlib
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringbound.errors import FeatureError
from ringbound.features.meaning import meaning_of

MODULE = """
import dataclasses
import enum
import functools
import re
import typing
import helping
import numpy as np
from functools import lru_cache


NUMBER = {number}
WORDS = {words}
TABLE = {{"a": {number}, "b": {words}}}
KEYS = frozenset({words})
EDGES = np.array([{number}, 1.5])
PATTERN = re.compile("a{letter}+")


class Side(enum.Enum):
    LEFT = {number}
    RIGHT = "r"


@dataclasses.dataclass(frozen=True)
class Scale:
    factor: float = {number}

    def apply(self, x):
        return x * self.factor


class Base:
    def value(self):
        return {number}


class Derived(Base):
    pass


def helper(x):
    return x + {number}


def by_default(x, amount={number}):
    return x + amount


def maker(amount):
    def inner(x):
        return x + amount
    return inner


@lru_cache
def cached(x):
    return x + {number}


def times(function):
    @functools.wraps(function)
    def wrapped(x):
        return {number} * function(x)
    return wrapped


@times
def doubled(x):
    return x


class Pair(typing.NamedTuple):
    first: int = 1

    def sum(self):
        return self.first + {number}


class Slotted:
    __slots__ = ("size",)

    def __init__(self, size):
        self.size = size


class Constants:
    FACTOR = NUMBER

    @functools.cached_property
    def lazy(self):
        return {number}

    @property
    def eager(self):
        return {number}

    @staticmethod
    def still():
        return {number}


class Count(int):
    def more(self):
        return self + {number}


def noted(x):
    return noted.amount + x


noted.amount = {number}
PAIR = Pair()
SLOTTED = Slotted({number})
LEFT = Side.LEFT
LOOK = TABLE.get
TAKE = np.array([1, {number}]).take
COUNT = Count(1)
CLOSED = maker({number})
PARTIAL = functools.partial(by_default, amount={number})
SCALE = Scale({number})


def f(size):
    {body}
"""
REACHES = {
    "a helper": "return helper(size)",
    "a helper in a comprehension": "return [helper(s) for s in size]",
    "a helper in a lambda": "return (lambda s: helper(s))(size)",
    "a helper in an inner function": "def g(s):\n        return helper(s)\n    return g(size)",
    "a number": "return size * NUMBER",
    "a list": "return size in WORDS",
    "a dictionary": "return TABLE[size]",
    "a set": "return size in KEYS",
    "an array": "return np.digitize(size, EDGES)",
    "a pattern": "return PATTERN.match(size)",
    "a default of a helper": "return by_default(size)",
    "a default of a method": "return Scale().apply(size)",
    "an instance": "return SCALE.apply(size)",
    "a class's base": "return Derived().value()",
    "an enumeration": "return Side.LEFT.value * size",
    "a closure": "return CLOSED(size)",
    "a decorator": "return doubled(size)",
    "a partial": "return PARTIAL(size)",
    "a cached function": "return cached(size)",
    "a helper imported when it runs": "from helping import deep\n    return deep(size)",
    "a module imported when it runs": "import helping as h\n    return h.deep(size)",
    "a helper of another module": "return helping.deep(size)",
    "a constant of another module": "return helping.DEPTH * size",
    "a bound method of a table": "return LOOK(size)",
    "a bound method of an array": "return TAKE(size)",
    "a method of a named tuple": "return PAIR.sum()",
    "a slot": "return SLOTTED.size",
    "a constant of a class": "return Constants.FACTOR",
    "a cached property": "return Constants().lazy",
    "a property": "return Constants().eager",
    "a static method": "return Constants.still()",
    "an enumeration by a name": "return LEFT.value",
    "an attribute of a function": "return noted(size)",
    "a method of a number": "return COUNT.more()",
    "its own code": "return size * {number}",
}
FIRST = {"number": 1, "words": ["x"], "letter": "b"}


def load(folder: Path, text: str):
    """Return the function `f` of a module with this text, as a fresh process would see it."""
    import importlib
    import linecache

    number = text.partition("NUMBER = ")[2].partition("\n")[0] or "1"
    (folder / "helping.py").write_text(f"DEPTH = {number}\n\n\ndef deep(x):\n    return x + {number}\n")
    (folder / "reached.py").write_text(text)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        for name in ("reached", "helping"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        linecache.clearcache()
        return importlib.import_module("reached").f
    finally:
        sys.dont_write_bytecode = before
        sys.path.remove(str(folder))


def text(body: str, **values) -> str:
    values = {**FIRST, **values}
    return MODULE.format(body=body.format(**values), **values)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("reached")


def meaning(folder: Path, body: str, **values) -> str:
    return meaning_of(load(folder, text(body, **values)))


CHANGES = st.one_of(
    st.integers(2, 10**9).map(lambda n: {"number": n}),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda v: v != 1).map(lambda v: {"number": v}),
    st.lists(st.text("xyz", max_size=3), max_size=3).filter(lambda w: set(w) != {"x"}).map(lambda w: {"words": w}),
    st.sampled_from("cdef").map(lambda letter: {"letter": letter}),
)
USES = {
    "number": [r for r in REACHES if r not in ("a list", "a set", "a pattern")],
    "words": ["a list", "a dictionary", "a set"],
    "letter": ["a pattern"],
}


@pytest.mark.parametrize("reach", USES["number"])
def test_each_reach_changes_the_meaning(folder, reach):
    assert meaning(folder, REACHES[reach], number=2) != meaning(folder, REACHES[reach])


@settings(max_examples=150, deadline=None)
@given(CHANGES, st.data())
def test_whatever_is_reached_changes_the_meaning(folder, change, data):
    ((what, _),) = change.items()
    reach = data.draw(st.sampled_from(USES[what]))
    assert meaning(folder, REACHES[reach], **change) != meaning(folder, REACHES[reach]), reach


@settings(max_examples=60, deadline=None)
@given(CHANGES)
def test_what_is_not_reached_changes_nothing(folder, change):
    assert meaning(folder, "return size + 1", **change) == meaning(folder, "return size + 1")


def test_prose_changes_nothing(folder):
    body = "return helper(size)"
    plain = meaning(folder, body)
    explained = text(body).replace("def helper(x):", 'def helper(x):\n    """Words."""\n    # more words')
    assert meaning_of(load(folder, explained)) == plain


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        ("open('/dev/null')", "TextIOWrapper"),
        ("__import__('threading').Lock()", "lock"),
        ("iter([1])", "list_iterator"),
    ],
)
def test_what_has_no_content_is_refused_by_name(folder, made, kind):
    with pytest.raises(FeatureError, match=f"^STRANGE: a feature reaches it.*{kind}"):
        meaning_of(load(folder, f"STRANGE = {made}\n\n\ndef f(size):\n    return STRANGE\n"))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("h = helping\n    return h.deep(size)", "uses the module helping as a value"),
        ("return getattr(helping, 'deep')(size)", "uses the module helping as a value"),
        ("return MODULES['h'].deep(size)", "uses the module helping as a value"),
        ("return VECTORISED(size)", "numpy.vectorize has no content"),
        ("return FROM_PYTHON(size)", "numpy.ufunc has no content"),
    ],
)
def test_what_hides_what_it_reaches_is_refused_by_name(folder, body, says):
    hiding = (
        "import helping\nimport numpy as np\nMODULES = {'h': helping}\nVECTORISED = np.vectorize(helping.deep)\n"
        f"FROM_PYTHON = np.frompyfunc(helping.deep, 1, 1)\n\n\ndef f(size):\n    {body}\n"
    )
    with pytest.raises(FeatureError, match=says):
        meaning_of(load(folder, hiding))


def test_code_that_cannot_be_read_is_refused_by_name(folder):
    source = "exec('def hidden(x):\\n    return x')\n\n\ndef f(size):\n    return hidden(size)\n"
    with pytest.raises(FeatureError, match=r"^hidden: a feature reaches it, and its code cannot be read"):
        meaning_of(load(folder, source))


def test_every_version_of_python_gives_the_same_meaning(folder):
    """A bundle trained on one is served on another. CI runs this on 3.11 and 3.12, and both give this digest."""
    body = (
        "return [helper(s) for s in size], WORDS, Scale().apply(1), CLOSED, doubled(1), f'{{size}} is {{NUMBER}} large'"
    )
    told = meaning(folder, body)
    assert hashlib.sha256(told.encode()).hexdigest()[:12] == "5b9bec098dd5"
