"""Where rows come from: files, SQL databases, HTTP JSON APIs.

A source is a declaration; `read` returns its rows as typed columns, and the rows that can not be read as such aside,
each with its reason. What is wrong with the source as a whole raises `SourceError`.
"""

import gzip
import hashlib
import io
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from ringbound.data.tables import to_pandas
from ringbound.errors import SourceError, one_line

MISSING = ["", "NA", "NaN", "null"]


@dataclass
class Reading:
    """What one read gave: typed `rows`, the `rejected` ones (columns source, place, reason, row) and a digest."""

    rows: pd.DataFrame
    rejected: pd.DataFrame
    sha256: str


class Source(Protocol):
    """What `ingest` needs of a source. `incremental` sources honour `since`; others read all there is."""

    columns: dict[str, str]
    incremental: bool

    def describe(self) -> str: ...
    def read(self, since: pd.Timestamp | None, through: pd.Timestamp) -> Reading: ...


def rejected_rows(source: str, places: list, reasons: list, rows: list) -> pd.DataFrame:
    """Return the table of rejected rows; the three lists are aligned."""
    frame = pd.DataFrame({"source": source, "place": places, "reason": reasons, "row": rows})
    return frame.astype({"source": "str", "place": "str", "reason": "str", "row": "str"})


def typed(raw: pd.DataFrame, columns: dict[str, str], source: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Convert the columns of `raw` to their declared types; return the rows that fit and those that do not."""
    absent = [name for name in columns if name not in raw]
    if absent:
        raise SourceError(
            f"{source}: expected columns {list(columns)}; missing {absent}; got {list(raw.columns)}; "
            "correct the file or the declared columns"
        )
    converted, reasons = {}, pd.Series("", index=raw.index, dtype="str")
    for name, kind in columns.items():
        values = raw[name]
        converted[name], bad = _convert(values, kind)
        if bad.any():
            reasons[bad] += name + ": expected " + kind + ", got " + values[bad].astype("str") + "; "
    frame = pd.DataFrame(converted, index=raw.index)
    bad = reasons != ""
    if not bad.any():
        return frame, rejected_rows(source, [], [], [])
    originals = raw.loc[bad, list(columns)].astype("str").to_dict("records")
    places = [f"row {number + 1}" for number in raw.index[bad]]
    rejected = rejected_rows(source, places, reasons[bad].str.rstrip("; ").tolist(), [str(row) for row in originals])
    return frame[~bad].reset_index(drop=True), rejected


def _convert(values: pd.Series, kind: str) -> tuple[pd.Series, pd.Series]:
    """Return the values as `kind` and a mask of those that are present and do not fit."""
    present = values.notna()
    if kind == "string":
        return values.astype("str").where(present), ~present & False
    if kind == "timestamp":
        instants = pd.to_datetime(values, utc=True, errors="coerce", format="ISO8601").dt.as_unit("us")
        return instants, present & instants.isna()
    if kind == "boolean":
        words = {"true": True, "1": True, "false": False, "0": False}
        truths = values.astype("str").str.lower().map(words).astype("boolean")
        return truths, present & truths.isna()
    numbers = pd.to_numeric(values, errors="coerce").astype("Float64")
    if kind == "number":
        return numbers.astype("float64"), present & numbers.isna()
    whole = numbers.where((numbers % 1 == 0).fillna(False))
    return whole.astype("Int64"), present & whole.isna()


@dataclass(frozen=True)
class Files:
    """Rows from files at `path` (a path or a glob): CSV, zipped or gzipped CSV, JSON Lines or Parquet, by suffix."""

    path: str | Path
    columns: dict[str, str] = field(hash=False)
    encoding: str = "utf-8"
    incremental = False

    def describe(self) -> str:
        """Return the file name or pattern, without the folder, which differs from machine to machine."""
        return Path(self.path).name

    def read(self, since: pd.Timestamp | None, through: pd.Timestamp) -> Reading:
        """Read every file that the path names, in order of name; `since` and `through` are left to the caller."""
        pattern = Path(self.path)
        files = sorted(pattern.parent.glob(pattern.name)) if any(c in pattern.name for c in "*?[") else [pattern]
        if not files or not files[0].exists():
            raise SourceError(f"expected a file {self.describe()}; found none; check the path in the ingest notebook")
        digest, frames, rejects = hashlib.sha256(), [], []
        for file in files:
            content = file.read_bytes()
            digest.update(content)
            if not content:
                raise SourceError(f"{file.name}: expected rows; the file is empty; fetch it again")
            raw, malformed = self._parse(file.name, content)
            frame, untyped = typed(raw, self.columns, file.name)
            frames.append(frame)
            rejects += [malformed, untyped]
        return Reading(pd.concat(frames, ignore_index=True), pd.concat(rejects, ignore_index=True), digest.hexdigest())

    def _parse(self, name: str, content: bytes) -> tuple[pd.DataFrame, pd.DataFrame]:
        nothing = rejected_rows(name, [], [], [])
        try:
            if name.endswith(".zip"):
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    (member,) = archive.namelist()
                    return self._parse(member, archive.read(member))
            if name.endswith(".gz"):
                return self._parse(name.removesuffix(".gz"), gzip.decompress(content))
            if name.endswith(".parquet"):
                return to_pandas(pq.read_table(io.BytesIO(content))), nothing
            if name.endswith((".jsonl", ".ndjson")):
                return _parse_json_lines(name, content.decode(self.encoding))
            if name.endswith(".csv"):
                return self._parse_csv(name, content)
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{name}: expected {self.encoding} text; byte {error.object[error.start]:#04x} at {error.start} is not; "
                "declare the encoding in the source"
            ) from error
        except (pa.ArrowInvalid, OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise SourceError(f"{name}: can not be read whole: {one_line(error)}; fetch the file again") from error
        raise SourceError(f"{name}: expected .csv, .csv.zip, .csv.gz, .jsonl or .parquet; got another suffix")

    def _parse_csv(self, name: str, content: bytes) -> tuple[pd.DataFrame, pd.DataFrame]:
        content.decode(self.encoding)  # pyarrow's own message does not say where
        places, reasons, rows = [], [], []

        def keep(row: pyarrow.csv.InvalidRow) -> str:
            places.append(f"line {row.number}")
            reasons.append(f"expected {row.expected_columns} fields, got {row.actual_columns}")
            rows.append(row.text)
            return "skip"

        header = content.split(b"\n", 1)[0].decode(self.encoding)
        table = pyarrow.csv.read_csv(
            io.BytesIO(content),
            read_options=pyarrow.csv.ReadOptions(use_threads=False, encoding=self.encoding),
            parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=keep, newlines_in_values='"' in header),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={column: pa.string() for column in self.columns},
                strings_can_be_null=True,
                null_values=MISSING,
            ),
        )
        return table.to_pandas(), rejected_rows(name, places, reasons, rows)


def _parse_json_lines(name: str, text: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    import json

    records, places, rows = [], [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            record = None
        if isinstance(record, dict):
            records.append(record)
        else:
            places.append(f"line {number}")
            rows.append(line)
    return pd.DataFrame.from_records(records), rejected_rows(name, places, ["expected a JSON object"] * len(rows), rows)


@dataclass(frozen=True)
class Sql:
    """Rows of a query on a database that SQLAlchemy knows, read from `since` on by the column `time`.

    `url` may name environment variables (`$BOOKINGS_URL`), so that no secret stands in a notebook.
    """

    url: str
    query: str
    columns: dict[str, str] = field(hash=False)
    time: str
    incremental = True

    def describe(self) -> str:
        """Return the URL without its password."""
        import sqlalchemy

        try:
            url = sqlalchemy.make_url(os.path.expandvars(self.url))
        except sqlalchemy.exc.ArgumentError:
            return self.url
        return f"{url.get_backend_name()}:{Path(url.database or '').name}"

    def read(self, since: pd.Timestamp | None, through: pd.Timestamp) -> Reading:
        """Read the rows with `since <= time <= through`."""
        import sqlalchemy as sa

        names = ", ".join(self.columns)
        text = f"SELECT {names} FROM ({self.query}) AS source_rows WHERE {self.time} <= :through"
        bound: dict[str, Any] = {"through": _bindable(through)}
        if since is not None:
            text += f" AND {self.time} >= :since"
            bound["since"] = _bindable(since)
        try:
            engine = sa.create_engine(os.path.expandvars(self.url))
            if engine.dialect.name == "sqlite":  # SQLite keeps instants as ISO text, which compares as text
                bound = {k: v.strftime("%Y-%m-%d %H:%M:%S") for k, v in bound.items()}
            with engine.connect().execution_options(stream_results=True) as connection:
                result = connection.execute(sa.text(text), bound)
                records = [dict(row._mapping) for part in result.partitions(10_000) for row in part]
            engine.dispose()
        except (sa.exc.SQLAlchemyError, ModuleNotFoundError) as error:
            cause = getattr(error, "orig", None) or error
            raise SourceError(
                f"{self.describe()}: expected rows of {one_line(Exception(self.query), 80)!r}; {one_line(cause, 200)}; "
                "check that the database is up and the URL and query are right"
            ) from error
        raw = pd.DataFrame.from_records(records, columns=list(self.columns))
        frame, rejected = typed(raw, self.columns, self.describe())
        return Reading(frame, rejected, content_digest(frame))


def _bindable(instant: pd.Timestamp) -> Any:
    return instant.tz_convert("UTC").to_pydatetime()


@dataclass(frozen=True)
class HttpJson:
    """Rows of an HTTP API that answers JSON pages.

    `records` names the list of rows in a page, `next_page` the field that holds the next page's URL (absent or null on
    the last), `total` (optional) the field that says how many rows there are in all, `since_parameter` (optional) the
    query parameter that limits an incremental read. A failed or cut answer is asked for again `retries` times, after
    `backoff_s`, twice that, and so on.
    """

    url: str
    columns: dict[str, str] = field(hash=False)
    records: str = "rows"
    next_page: str = "next"
    total: str | None = None
    since_parameter: str | None = None
    timeout_s: float = 10.0
    retries: int = 4
    backoff_s: float = 0.5
    sleep: Callable[[float], None] = time.sleep

    @property
    def incremental(self) -> bool:
        """Whether the API can be asked for newer rows only."""
        return self.since_parameter is not None

    def describe(self) -> str:
        """Return the URL without its query, which may hold a key."""
        return self.url.split("?")[0]

    def read(self, since: pd.Timestamp | None, through: pd.Timestamp) -> Reading:
        """Read all pages."""
        rows: list[dict] = []
        expected = None
        for page in self._pages(since):
            rows += page[self.records]
            expected = page.get(self.total) if self.total else None
        if expected is not None and expected != len(rows):
            raise SourceError(f"{self.describe()}: expected {expected} rows as announced; got {len(rows)}; run again")
        frame, rejected = typed(
            pd.DataFrame.from_records(rows, columns=None if rows else list(self.columns)), self.columns, self.describe()
        )
        return Reading(frame, rejected, content_digest(frame))

    def _pages(self, since: pd.Timestamp | None) -> Iterator[dict]:
        import requests
        from requests.compat import urljoin

        with requests.Session() as session:
            query = {self.since_parameter: since.isoformat()} if since is not None and self.since_parameter else None
            url: str | None = self.url
            while url:
                page = self._page(session, url, query)
                yield page
                following = page.get(self.next_page)
                url, query = (urljoin(url, following) if following else None), None

    def _page(self, session: Any, url: str, query: dict | None) -> dict:
        import requests

        problem: Exception | str = ""
        for attempt in range(self.retries + 1):
            if attempt:
                self.sleep(self.backoff_s * 2 ** (attempt - 1))
            try:
                answer = session.get(url, params=query, timeout=self.timeout_s)
                if 400 <= answer.status_code < 500 and answer.status_code != 429:
                    raise SourceError(f"{self.describe()}: expected rows; got HTTP {answer.status_code}; check the URL")
                answer.raise_for_status()
                page = answer.json()
            except (requests.RequestException, ValueError) as error:
                problem = error
                continue
            if isinstance(page, dict) and isinstance(page.get(self.records), list):
                return page
            problem = f"expected an object with a list {self.records!r}"
        raise SourceError(
            f"{self.describe()}: no whole page after {self.retries + 1} attempts: {one_line(Exception(problem), 200)}; "
            "nothing was changed, run again later"
        )


def content_digest(frame: pd.DataFrame) -> str:
    """Return a digest of the rows in their order, for sources that are not files."""
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()
