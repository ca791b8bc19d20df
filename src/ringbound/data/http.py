"""Rows of an HTTP API that answers JSON, page by page."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import pandas as pd
import requests

from ringbound.data.files import each_once
from ringbound.data.sources import Reading, check_declared, columns_of_records, content_digest, typed
from ringbound.data.values import MISSING, shown, whole
from ringbound.errors import SourceError, one_line


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
    missing: Sequence[str] = MISSING
    zone: str | None = None
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self):
        check_declared(self.describe(), self.missing, self.zone)

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
        announced = None
        for page in self._pages(since):
            rows += page[self.records]
            if self.total and page.get(self.total) is not None:
                announced = page[self.total]
        if self.total and announced != len(rows):
            said = (
                f"{shown(announced)} rows as announced"
                if announced is not None
                else f"a number of rows in {self.total!r}"
            )
            raise SourceError(f"{self.describe()}: expected {said}; got {len(rows)} rows; run again")
        if strange := [row for row in rows if not isinstance(row, dict)]:
            raise SourceError(f"{self.describe()}: expected JSON objects in {self.records!r}; got {shown(strange[0])}")
        raw = columns_of_records(rows, self.columns)
        frame, rejected = typed(raw, self.columns, self.describe(), missing=self.missing, zone=self.zone)
        return Reading(frame, rejected, content_digest(frame))

    def _pages(self, since: pd.Timestamp | None) -> Iterator[dict]:
        with requests.Session() as session:
            query = {self.since_parameter: since.isoformat()} if since is not None and self.since_parameter else None
            url: str | None = self.url
            seen: set[str] = set()
            while url:
                seen.add(url)
                page = self._page(session, url, query)
                yield page
                following = page.get(self.next_page)
                try:
                    url, query = (urljoin(url, following) if following else None), None
                except (TypeError, ValueError, AttributeError):
                    raise SourceError(
                        f"{self.describe()}: expected the next page's URL in {self.next_page!r}; got {shown(following)}"
                    ) from None
                if url in seen:
                    raise SourceError(
                        f"{self.describe()}: expected another page; {self.next_page!r} goes round in a circle"
                    )

    def _page(self, session: Any, url: str, query: dict | None) -> dict:
        problem: Exception | str = ""
        for attempt in range(self.retries + 1):
            if attempt:
                self.sleep(self.backoff_s * 2 ** (attempt - 1))
            try:
                answer = session.get(url, params=query, timeout=self.timeout_s)
                if 400 <= answer.status_code < 500 and answer.status_code != 429:
                    raise SourceError(f"{self.describe()}: expected rows; got HTTP {answer.status_code}; check the URL")
                answer.raise_for_status()
                page = json.loads(answer.content, parse_int=whole, object_pairs_hook=each_once)
            except (requests.RequestException, ValueError, RecursionError) as error:
                problem = error
                continue
            if isinstance(page, dict) and isinstance(page.get(self.records), list):
                return page
            problem = f"expected an object with a list {self.records!r}"
        raise SourceError(
            f"{self.describe()}: no whole page after {self.retries + 1} attempts: {one_line(Exception(problem), 200)}; "
            "nothing was changed, run again later"
        )
