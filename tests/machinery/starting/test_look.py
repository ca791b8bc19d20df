"""What is found out about a table before anybody has said a word about it."""

import numpy as np
import pandas as pd
import pytest

from ringbound.data.files import Files
from ringbound.errors import SourceError
from ringbound.starting.look import identifier, look
from ringbound.starting.read import read_raw


def kinds_of(file, **more) -> dict[str, str]:
    return {name: column.kind for name, column in look(file, **more).columns.items()}


KINDS = {
    "order": "string", "at": "timestamp", "shop": "string", "customer_id": "string", "amount": "number",
    "country": "string", "refund": "number", "closed": "timestamp", "back": "string",
}  # fmt: skip


@pytest.mark.parametrize("name", ["orders.csv", "orders.csv.gz", "orders.parquet", "orders.jsonl"])
def test_kinds_are_found_in_every_kind_of_file(put, name):
    assert kinds_of(put(name)) == KINDS


def test_ingest_reads_the_table_as_it_was_looked_at(put, tmp_path):
    """With a separator, a decimal comma, a mark for nothing, another encoding and local times, all at once."""
    frame = pd.read_csv(put())
    frame["at"] = frame["at"].str.removesuffix("Z").str.replace("T", " ")
    frame["shop"] = frame["shop"].replace("north", "Köln")
    for name in ("amount", "refund"):
        frame[name] = frame[name].map("{:.2f}".format).str.replace(".", ",")
    frame.loc[::7, "amount"] = "NA"
    file = tmp_path / "german.csv"
    frame.to_csv(file, sep=";", index=False, encoding="cp1252")
    found = look(file, zone="Asia/Tokyo")
    assert found.options == {
        "separator": ";",
        "encoding": "cp1252",
        "missing": ["", "NA"],
        "decimal": ",",
        "zone": "Asia/Tokyo",
    }
    assert {name: column.kind for name, column in found.columns.items()} == KINDS
    read = Files(file, KINDS, **found.options).read(None, pd.Timestamp.max)
    assert len(read.rejected) == 0
    for name, column in found.columns.items():
        pd.testing.assert_series_equal(read.rows[name], column.values, check_names=False)
    assert read.rows["at"].iloc[0] == pd.Timestamp(frame["at"].iloc[0], tz="Asia/Tokyo")


def test_a_few_odd_values_leave_a_column_its_kind_and_are_told(put):
    amount = [str(value) for value in np.arange(1000)]
    amount[17] = "a lot"
    found = look(put(amount=amount))
    assert found.columns["amount"].kind == "integer"
    assert found.notes == ["1 values of `amount` are no integer: their rows are put aside"]
    amount[100:200] = ["some"] * 100
    assert look(put(amount=amount)).columns["amount"].kind == "string"


def test_a_mark_for_nothing_is_a_text_among_texts(put):
    found = look(put(shop=["NA", "DE"] * 500))
    assert "missing" not in found.options
    assert found.columns["shop"].distinct == 2


def test_names_become_names_of_code_each_its_own():
    taken: set[str] = set()
    for text in ("Größe (m²)", "grösse m2", "class", "2nd", "at", "", "日本", "日"):
        taken.add(identifier(text, taken))
    assert taken == {"groesse_m2", "groesse_m2_2", "class_", "n2nd", "at_", "column", "column_2", "column_3"}
    assert all(name.isidentifier() for name in taken)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "a.csv: cannot be read as CSV"),
        ("a.csv", b"x,y\n", "a.csv: expected rows; it has none"),
        ("a.csv", b'x,y\n"1,2\n', "a.csv: line 2: a quote that is not closed"),
        ("a.csv", b"x,x\n1,2\n", r"expected each column once; got \['x'\]"),
        ("a.jsonl", b"[1]\nsoon\n", "a.jsonl: expected an object on each line; none is"),
        ("a.jsonl", b'{"x": "\xe4"}\n', "a.jsonl: expected UTF-8; byte 7 is not"),
        ("a.parquet", b"PAR", "a.parquet: cannot be read"),
        ("a.xlsx", b"PK", "expected .csv, .csv.zip, .csv.gz, .jsonl or .parquet"),
        ("a.csv", b",".join(b"c%d" % n for n in range(600)) + b"\n" + b",".join([b"1"] * 600), "at most 500 columns"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path, name, content, says):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(SourceError, match=says) as caught:
        look(file)
    assert "\n" not in str(caught.value)
    with pytest.raises(SourceError, match="is not there"):
        look(tmp_path / "nowhere.csv")


def test_whole_numbers_with_a_decimal_comma_are_numbers_as_ingest_reads_them(put, tmp_path):
    frame = pd.read_csv(put())
    frame["amount"] = (frame["amount"].round() + 1).map("{:.1f}".format).str.replace(".", ",")
    frame["refund"] = frame["refund"].map("{:.2f}".format).str.replace(".", ",")
    file = tmp_path / "german.csv"
    frame.to_csv(file, sep=";", index=False)
    found = look(file)
    assert found.columns["amount"].kind == "number"
    kinds = {name: column.kind for name, column in found.columns.items()}
    assert len(Files(file, kinds, **found.options).read(None, pd.Timestamp.max).rejected) == 0


def test_commas_between_thousands_are_no_decimals(put, tmp_path):
    frame = pd.read_csv(put()).assign(amount="1,098")
    frame.to_csv(tmp_path / "a.csv", sep=";", index=False)
    found = look(tmp_path / "a.csv")
    assert "decimal" not in found.options
    assert found.columns["amount"].kind == "string"


def test_what_means_nothing_in_one_column_and_something_in_another_stays(put):
    found = look(put(shop=["NA", "DE"] * 500, amount=["NA", "1.5"] * 500))
    assert "missing" not in found.options
    assert found.columns["shop"].missing == 0


def test_leading_zeros_and_codes_are_names(put):
    kinds = kinds_of(put(order=[f"{number:06}" for number in range(1000)]))
    assert kinds["order"] == "string"
    assert kinds["customer_id"] == "string"
    few = [None if number % 3 else float(number) for number in range(1000)]
    found = look(put("orders.parquet", customer_id=few))
    read = Files(found.path, {"customer_id": found.columns["customer_id"].kind}).read(None, pd.Timestamp.max)
    assert len(read.rejected) == 0, "as pandas writes whole numbers of which some are missing"


def test_dates_are_days_of_the_zone_that_is_given(put):
    at = pd.date_range("2020-01-01", periods=1000).strftime("%Y-%m-%d")
    found = look(put(at=at), zone="America/Los_Angeles")
    assert found.options["zone"] == "America/Los_Angeles"
    assert found.columns["at"].values.iloc[0] == pd.Timestamp("2020-01-01", tz="America/Los_Angeles")


def test_a_column_with_few_values_is_what_they_are(put):
    few = ["2020-05-01T00:00:00Z" if number % 200 == 0 else "" for number in range(1000)]
    assert look(put(seen=few)).columns["seen"].kind == "timestamp"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("name, first and last;paid;at\nA;1,5;x\nB;2,5;y\n", ["name, first and last", "paid", "at"]),
        ("a|b;c\n1|x;y\n2|u;v;w\n", ["a", "b;c"]),
        ('a,b\n1,"x;y;z"\n2,"u;v;w"\n', ["a", "b"]),
        ("a,b,c\n1,2,3\n1,2\n" + "1,2,3\n" * 30, ["a", "b", "c"]),
    ],
)
def test_what_separates_fields_is_told_by_more_than_the_header(tmp_path, text, columns):
    file = tmp_path / "table.csv"
    file.write_text(text)
    assert list(read_raw(file)[0]) == columns
