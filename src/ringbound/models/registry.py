"""The registry of models: tags in git, in the format of GTO (github.com/iterative/gto), and nothing else.

    late-flights@v2.0.0      the commit that version v2 is; data, params and metrics come with it
    late-flights#prod#3      the third change of what serves in stage prod: the commit of the version

Tags are annotated: who, when and, in the message, why. Git makes a tag or says that it is there, so of two changes that
see the same state one wins. Everything but pushing works without a network.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ringbound.errors import RegistryError, WorkspaceError
from ringbound.models.gates import Verdict
from ringbound.revision import Revision, git

VERDICT = "data/reports/verdict.json"
MODEL = "data/reports/model.json"
FORMAT = (
    "%(refname:strip=2)%00%(*objectname)%00%(taggername) %(taggeremail)%00%(taggerdate:iso-strict)%00%(contents)%01"
)


@dataclass(frozen=True)
class Entry:
    """One tag: a version registered, or a stage given another version. `number` counts the changes of a stage."""

    action: Literal["register", "promote", "rollback"]
    version: str
    stage: str
    number: int
    commit: str
    who: str
    when: str
    note: str


class Registry:
    """The versions and stages of the model `name` in the repository `root`."""

    def __init__(self, root: Path, name: str):
        self.root = root
        self.name = name

    def entries(self) -> list[Entry]:
        """Return everything that happened, oldest first."""
        raw = git(
            self.root, "for-each-ref", f"--format={FORMAT}", f"refs/tags/{self.name}@*", f"refs/tags/{self.name}#*"
        )
        fields = [record.strip("\n").split("\0") for record in raw.split("\1") if record.strip("\n")]
        found, version_of = [], {}
        for tag, commit, who, when, contents in fields:
            if match := re.fullmatch(re.escape(self.name) + r"@v(\d+)\.0\.0", tag):
                version_of[commit] = f"v{match[1]}"
                found.append(Entry("register", f"v{match[1]}", "", int(match[1]), commit, who, when, contents.strip()))
        for tag, commit, who, when, contents in fields:
            if match := re.fullmatch(re.escape(self.name) + r"#([A-Za-z0-9_-]+)#(\d+)", tag):
                action: Literal["promote", "rollback"] = "rollback" if contents.startswith("roll back") else "promote"
                version = version_of.get(commit, commit[:8])
                found.append(Entry(action, version, match[1], int(match[2]), commit, who, when, contents.strip()))
        return sorted(found, key=lambda e: (e.when, e.stage, e.number))

    def versions(self) -> dict[str, Entry]:
        """Return every version, in order."""
        registered = sorted((e for e in self.entries() if e.action == "register"), key=lambda e: e.number)
        return {entry.version: entry for entry in registered}

    def version(self, name: str) -> Entry:
        """Return a version by its name (`v2`), or the one that a stage has."""
        versions = self.versions()
        if name in versions:
            return versions[name]
        if held := self.holder(name):
            return versions[held.version]
        raise RegistryError(f"registry: expected a version of {list(versions)} or a stage that has one; got {name!r}")

    def changes(self, stage: str) -> list[Entry]:
        """Return the changes of a stage, in order."""
        return sorted((e for e in self.entries() if e.stage == stage), key=lambda e: e.number)

    def holder(self, stage: str) -> Entry | None:
        """Return the latest change of a stage: what it has now."""
        changes = self.changes(stage)
        return changes[-1] if changes else None

    def stages(self) -> dict[str, Entry]:
        """Return what every stage has now."""
        return {entry.stage: entry for entry in sorted(self.entries(), key=lambda e: e.number) if entry.stage}

    def register(self, revision: str = "HEAD", *, note: str = "") -> Entry:
        """Make a revision a version. Its model must be described in git, as `dvc repro` leaves it."""
        commit = Revision(self.root, revision)
        model = commit.json(MODEL)
        if model is None:
            raise RegistryError(
                f'registry: expected {MODEL} in {revision}; it is not there; run "dvc repro" and commit'
            )
        for known in self.versions().values():
            if known.commit == commit.commit:
                raise RegistryError(f"registry: {revision} is {known.version} already")
        number = 1 + max((entry.number for entry in self.versions().values()), default=0)
        self._tag(f"{self.name}@v{number}.0.0", commit.commit or "", note or f"model {model['version']}")
        return self.versions()[f"v{number}"]

    def promote(self, version: str, stage: str, *, force: bool = False, reason: str = "") -> Entry:
        """Give a stage a version whose verdict is to promote it; otherwise only with `force` and a `reason`, kept."""
        chosen = self.versions().get(version)
        if chosen is None:
            raise RegistryError(f"registry: expected a version of {list(self.versions())}; got {version!r}")
        held = self.holder(stage)
        if held and held.version == version:
            raise RegistryError(f"registry: {stage} has {version} already")
        objection = self._objection(chosen, stage, held)
        if objection and not force:
            raise RegistryError(f'registry: {version} may not serve in {stage}: {objection}; or --force --reason "…"')
        if force and not reason.strip():
            raise RegistryError("registry: expected a reason; --force is recorded with --reason")
        note = f"promote {version} to {stage}"
        note += (
            f"\n\nforced, against: {objection or 'nothing'}\nreason: {reason}" if force else f"\n\n{reason}".rstrip()
        )
        return self._assign(chosen, stage, held, note)

    def rollback(self, stage: str, *, reason: str = "") -> Entry:
        """Give a stage what it had before its last promotion that stands; the way back needs no verdict."""
        standing: list[Entry] = []
        for change in self.changes(stage):
            if change.action == "rollback":
                standing.pop()
            else:
                standing.append(change)
        if len(standing) < 2:
            have = standing[-1].version if standing else "nothing"
            raise RegistryError(f"registry: {stage} has {have}, and nothing before it to roll back to")
        before, now = self.versions()[standing[-2].version], standing[-1]
        note = f"roll back {stage} from {now.version} to {before.version}" + f"\n\n{reason}".rstrip()
        return self._assign(before, stage, self.holder(stage), note)

    def push(self, entry: Entry, remote: str) -> None:
        """Push an entry's tag; where another came first, take ours back and say whose it is."""
        tag = self._tag_of(entry)
        try:
            git(self.root, "push", "-q", remote, f"refs/tags/{tag}")
        except WorkspaceError as error:
            git(self.root, "tag", "-d", tag)
            there = git(self.root, "ls-remote", remote, f"refs/tags/{tag}").strip()
            if not there:
                raise RegistryError(f"registry: {tag} could not be pushed and was taken back: {error}") from error
            git(self.root, "fetch", "-q", remote, f"refs/tags/{self.name}*:refs/tags/{self.name}*")
            raise RegistryError(
                f"registry: another was first: {self._first(tag)}; look at it, then try again"
            ) from error

    def _objection(self, chosen: Entry, stage: str, held: Entry | None) -> str:
        """Return why a version may not have a stage by its verdict, or nothing."""
        at = Revision(self.root, chosen.commit)
        plain, model = at.json(VERDICT), at.json(MODEL)
        if plain is None:
            return 'it has no verdict; run "ringbound gate" and commit'
        verdict = Verdict.from_json(plain)
        if model is None or verdict.challenger != model["version"]:
            return f"its verdict is of model {verdict.challenger}"
        if verdict.decision != "promote":
            failed = "; ".join(f"{r.gate}: {r.says}" for r in verdict.reasons if r.outcome != "passed")
            return f"its verdict is {verdict.decision} ({failed})"
        if held and verdict.stage == stage:
            champion = Revision(self.root, held.commit).json(MODEL)["version"]
            if verdict.champion != champion:
                return f"its verdict is against {verdict.champion}, but {stage} has {champion} ({held.version})"
        return ""

    def _assign(self, chosen: Entry, stage: str, held: Entry | None, note: str) -> Entry:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", stage):
            raise RegistryError(f"registry: expected a stage of letters, digits, - and _; got {stage!r}")
        self._tag(f"{self.name}#{stage}#{1 + (held.number if held else 0)}", chosen.commit, note)
        return self.changes(stage)[-1]

    def _tag(self, tag: str, commit: str, note: str) -> None:
        try:
            git(self.root, "tag", "-a", tag, commit, "-m", note)
        except WorkspaceError as error:
            if "already exists" not in str(error):
                raise
            raise RegistryError(
                f"registry: another was first: {self._first(tag)}; look at it, then try again"
            ) from error

    def _first(self, tag: str) -> str:
        entry = next(e for e in self.entries() if self._tag_of(e) == tag)
        return f"{entry.note.splitlines()[0]}, by {entry.who} at {entry.when}"

    def _tag_of(self, entry: Entry) -> str:
        if entry.action == "register":
            return f"{self.name}@{entry.version}.0.0"
        return f"{self.name}#{entry.stage}#{entry.number}"


def describe(registry: Registry, name: str) -> str:
    """Return all that is known of a version, or of what a stage has, from git alone."""
    entry = registry.version(name)
    at = Revision(registry.root, entry.commit)
    model, metrics, verdict = at.json(MODEL), at.json("data/reports/metrics.json"), at.json(VERDICT)
    learnt = model["provenance"]
    stages = [stage for stage, held in registry.stages().items() if held.version == entry.version]
    lines = [
        f"{registry.name} {entry.version}: model {model['version']}, {learnt['candidate']}",
        f"stages      {', '.join(stages) or 'none'}",
        f"registered  {entry.when} by {entry.who}: {entry.note.splitlines()[0]}",
        f"commit      {entry.commit}",
        f"features    {model['features']['hash']}",
        f"learnt from {learnt['rows']:,} rows, {learnt['first_day']} to {learnt['last_day']}",
        f"table       sha256 {learnt['data']}",
        *(f"data        {path}  md5 {out['md5']}" for path, out in at.outputs.items() if _is_data(path)),
        f"arguments   {json.dumps(learnt['arguments'])}",
        *(f"params      {section}: {json.dumps(values)}" for section, values in at.yaml("params.yaml").items()),
    ]
    if metrics:
        told = ", ".join(
            f"{k} {v['value']:.4f} ({v['low']:.4f} to {v['high']:.4f})" for k, v in metrics["model"].items()
        )
        lines.append(f"metrics     {told}")
    if verdict:
        read = Verdict.from_json(verdict)
        lines.append(f"verdict     {read.decision}, against {read.champion}")
        lines += [f"            {reason.outcome}: {reason.gate}: {reason.says}" for reason in read.reasons]
    else:
        lines.append("verdict     none")
    return "\n".join(lines)


def _is_data(path: str) -> bool:
    return not path.startswith(("data/reports", "data/plots", "data/code"))


def history(entries: Sequence[Entry]) -> list[str]:
    """Return what happened, a line each."""
    return [
        f"{e.when}  {e.stage or 'version':<10} {e.version:<5} {' / '.join(filter(None, e.note.splitlines()))}  ({e.who})"
        for e in entries
    ]
