"""The tags of a model's registry, read as GTO reads them."""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ringbound.workspace.revision import git

FORMAT = (
    "[%(refname:strip=2), %(*objecttype), %(*objectname), %(taggername), %(taggeremail), %(taggerdate:iso-strict), "
    "%(taggerdate:unix), %(contents)]"
)
"""Each tag as a list of Python's texts, which git quotes."""
NAME = "[a-zA-Z0-9](?:[a-zA-Z0-9-/_]*[a-zA-Z0-9])?"
NUMBER = "(?:0|[1-9][0-9]*)"
VERSION = (
    rf"{NUMBER}\.{NUMBER}\.{NUMBER}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
TAG = rf"(?:@v(?P<version>{VERSION})|#(?P<environment>{NAME}))(?P<back>!?)(?:#(?P<number>[0-9]+))?"


@dataclass(frozen=True)
class Entry:
    """One tag: a version registered or taken back, or an environment given a version or rid of it.

    `number` is the tag's own, 0 where it has none; `time` is in seconds since 1970, `when` the same as text.
    """

    action: Literal["register", "deregister", "promote", "rollback", "unassign"]
    version: str
    environment: str
    number: int
    commit: str
    who: str
    when: str
    time: int
    note: str
    tag: str

    @property
    def subject(self) -> str:
        """The first line of the note."""
        return next(iter(self.note.splitlines()), "")


def read_entries(root: Path, name: str) -> list[Entry]:
    """Return everything that tags of the model `name` say happened, oldest first."""
    patterns = [f"refs/tags/{name}{rest}" for rest in ("@*", "#*", "#*/**")]
    raw = git(root, "for-each-ref", "--python", f"--format={FORMAT}", *patterns)
    tags = []
    for line in re.findall(r"^\['.*?'\]$", raw, flags=re.M | re.S):
        tag, kind, commit, name_of, email, when, seconds, note = ast.literal_eval(line.replace("\n", "\\n"))
        who = f"{name_of} {email}"
        match = re.fullmatch(TAG, tag.removeprefix(name))
        if match and kind == "commit":  # of a light tag it is empty
            tags.append((match, commit, who, when, int(seconds or 0), note.strip(), tag))
    registered = [(short(match["version"]), commit) for match, commit, *_ in tags if match["version"]]
    version_of = {commit: version for version, commit in sorted(registered, key=lambda pair: precedence(pair[0]))}
    entries = []
    for match, commit, who, when, time, note, tag in tags:
        if match["version"]:
            version, action = short(match["version"]), "deregister" if match["back"] else "register"
        else:
            version = version_of.get(commit, commit[:8])
            given = "rollback" if note.startswith("roll back") else "promote"
            action = "unassign" if match["back"] else given
        number = int(match["number"] or 0)
        environment = match["environment"] or ""
        entries.append(Entry(action, version, environment, number, commit, who, when, time, note, tag))  # type: ignore[arg-type]
    return sorted(entries, key=lambda e: (e.time, e.environment, e.number))


def taken_back(entries: Sequence[Entry]) -> set[tuple[str, str]]:
    """Return the versions that were taken back, with their commits."""
    latest = {(entry.version, entry.commit): entry for entry in entries if not entry.environment}
    return {key for key, entry in latest.items() if entry.action == "deregister"}


def short(version: str) -> str:
    """Return a version's name without `.0.0`, where it ends so: v2, v2.1.3."""
    return "v" + re.sub(r"^([0-9]+)\.0\.0$", r"\1", version)


def precedence(version: str) -> tuple[Any, ...]:
    """Return what orders versions as semver.org does: numbers, then no pre-release after any, then its parts."""
    numbers, _, pre = version.removeprefix("v").partition("+")[0].partition("-")
    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in pre.split(".") if part]
    return *(*map(int, numbers.split(".")), 0, 0)[:3], not pre, parts
