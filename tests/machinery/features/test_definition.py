import numpy as np
import pytest

from ringbound.errors import FeatureError
from ringbound.features.columns import Category
from ringbound.features.definition import FeatureSet
from ringbound.features.request import Field

REQUEST = [Field("name", "category", "a name", "x"), Field("size", "number", "a size", 1.0, ge=0)]
SCALE = 2.0


def scaled(size):
    """Size, scaled."""
    return helper(size) * SCALE


def helper(size):
    return size + 1


def doubled(size):
    return size * 2


def on_doubled(doubled):
    return doubled + 1


def initial(name):
    return name.map(lambda text: text[:1])


def columns(*sizes):
    return {"name": Category.from_texts(["ab"] * len(sizes)), "size": np.array(sizes)}


def test_functions_get_what_their_parameters_name():
    features = FeatureSet(REQUEST, derived=[doubled], numbers=[scaled, on_doubled], categories=["name", initial])
    values = features.compute(columns(1.0, 2.0), {})
    assert features.names == ["scaled", "on_doubled", "name", "initial"]
    assert values["scaled"].tolist() == [4.0, 6.0]
    assert values["on_doubled"].tolist() == [3.0, 5.0]
    assert values["initial"].texts().tolist() == ["a", "a"]


def test_unknown_parameter_is_named():
    with pytest.raises(FeatureError, match=r"scaled: takes \['size'\]; there is \['name'\]"):
        FeatureSet(REQUEST[:1], numbers=[scaled])


def test_feature_declared_twice_is_refused():
    with pytest.raises(FeatureError, match="declared twice"):
        FeatureSet(REQUEST, numbers=[scaled, scaled])


def test_missing_column_is_named():
    with pytest.raises(FeatureError, match=r"missing columns \['name'\]"):
        FeatureSet(REQUEST, numbers=[scaled]).compute({"size": np.array([1.0])}, {})


def variant(source: str, **names) -> str:
    """Return the hash of a set whose one feature is defined by `source`."""
    import linecache

    file = f"<variant {abs(hash(source))}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    space = {"__name__": __name__, "np": np, **names}
    exec(compile(source, file, "exec"), space)
    return FeatureSet(REQUEST, numbers=[space["f"]]).hash


def test_hash_changes_with_meaning_and_not_with_prose():
    plain = variant("def f(size):\n    return size + 1\n")
    assert variant('def f(size):\n    """Words."""\n    # more words\n    return (size + 1)\n') == plain
    assert variant("def f(size):\n    return size + 2\n") != plain


def test_hash_changes_with_what_a_function_uses():
    source = "def f(size):\n    return g(size) * SCALE\n"
    one = variant("def g(size):\n    return size\n\n" + source, SCALE=1.0)
    assert variant("def g(size):\n    return size\n\n" + source, SCALE=2.0) != one
    assert variant("def g(size):\n    return -size\n\n" + source, SCALE=1.0) != one


def test_hash_changes_with_bounds_and_order():
    two = [scaled, doubled]
    one = FeatureSet(REQUEST, numbers=two).hash
    assert FeatureSet(REQUEST, numbers=two[::-1]).hash != one
    wider = [REQUEST[0], Field("size", "number", "a size", 1.0, ge=-1)]
    assert FeatureSet(wider, numbers=two).hash != one
    explained = [REQUEST[0], Field("size", "number", "another explanation", 5.0, ge=0)]
    assert FeatureSet(explained, numbers=two).hash == one


def test_hash_is_the_same_for_every_version_of_python():
    """A bundle trained on one is served on another; 3.11 and 3.12 both give this."""
    assert variant("def f(size):\n    return size + 1\n") == "10a05151df73"


def test_a_feature_may_work_over_the_field_of_its_own_name():
    def size(size):
        return size * 2

    features = FeatureSet(REQUEST, numbers=[size])
    assert features.compute(columns(1.0, 2.0), {})["size"].tolist() == [2.0, 4.0]
    assert features.hash != FeatureSet(REQUEST, numbers=[doubled]).hash
