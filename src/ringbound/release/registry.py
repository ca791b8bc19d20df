"""The registry of models: tags in git, in the format of GTO (github.com/iterative/gto), and nothing else.

    house-prices@v2.0.0      the commit that version v2 is; data, params and metrics come with it
    house-prices#prod#3      the third change of what serves in environment prod: the commit of the version

Tags are annotated: who, when and, in the message, why. Git makes a tag or says that it is there, so of two changes that
see the same state one wins. Everything but pushing works without a network.

What others tag is read as GTO reads it: any semantic version (`v2.1.3`), with or without a number at the end; a tag with
`!` takes a version back, or takes it out of an environment; a light tag is nobody's. An environment has the version that
was given to it last, by the time of the tag, and not taken out again. Of two versions of one commit the higher counts for its
environments, where GTO gives up; a commit that is no version can be taken out of an environment.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from ringbound import workspace
from ringbound.errors import RegistryError, WorkspaceError
from ringbound.evaluation.records import Metrics
from ringbound.models.facts import ModelFacts, read_facts
from ringbound.release.gates import Verdict
from ringbound.release.tags import Entry, precedence, read_entries, short, taken_back
from ringbound.workspace import layout
from ringbound.workspace.revision import Revision, git

SERVED = (layout.MODELS, layout.BENTO.rpartition("/")[0])
"""What has to be fetched to serve a version."""


class Registry:
    """The versions and environments of the model `name` in the repository `root`."""

    def __init__(self, root: Path, name: str):
        self.root = root
        self.name = name

    def entries(self) -> list[Entry]:
        """Return everything that happened, oldest first."""
        return read_entries(self.root, self.name)

    def versions(self) -> dict[str, Entry]:
        """Return every version that was not taken back, in order."""
        entries = self.entries()
        gone = taken_back(entries)
        standing = [e for e in entries if e.action == "register" and (e.version, e.commit) not in gone]
        return {entry.version: entry for entry in sorted(standing, key=lambda e: precedence(e.version))}

    def version(self, name: str) -> Entry:
        """Return a version by its name (`v2`, `v2.0.0`), or the one that an environment has."""
        versions = self.versions()
        if re.match(r"v[0-9]", name) and (known := short(name[1:])) in versions:
            return versions[known]
        if name and (held := self.holder(name)):
            return self._version_of(held)
        raise RegistryError(
            f"registry: expected a version of {list(versions)} or an environment that has one; got {name!r}"
        )

    def _version_of(self, change: Entry) -> Entry:
        versions = self.versions()
        if change.version not in versions:
            raise RegistryError(
                f"registry: {change.environment} was given commit {change.commit[:8]}, which is no version; "
                f'run "ringbound registry register {change.commit[:8]}", or fetch its tag'
            )
        return versions[change.version]

    def changes(self, environment: str) -> list[Entry]:
        """Return the changes of an environment, in order."""
        return [entry for entry in self.entries() if entry.environment == environment]

    def holder(self, environment: str) -> Entry | None:
        """Return the change by which an environment has what it has now; None where it has nothing."""
        return self.environments().get(environment)

    def environments(self) -> dict[str, Entry]:
        """Return the change by which every environment has what it has now."""
        entries = self.entries()
        gone = taken_back(entries)
        latest = {(entry.environment, entry.version): entry for entry in entries if entry.environment}
        given = [e for e in latest.values() if e.action != "unassign" and (e.version, e.commit) not in gone]
        return {entry.environment: entry for entry in sorted(given, key=lambda e: (e.time, e.number))}

    def register(self, revision: str = "HEAD", *, note: str = "") -> Entry:
        """Make a revision a version. Its model must be described in git, as `dvc repro` leaves it."""
        commit = Revision(self.root, revision)
        model = commit.record(layout.MODEL, ModelFacts)
        if model is None:
            raise RegistryError(
                f'registry: expected {layout.MODEL} in {revision}; it is not there; run "dvc repro" and commit'
            )
        for known in self.versions().values():
            if known.commit == commit.commit:
                raise RegistryError(f"registry: {revision} is {known.version} already")
        majors = [precedence(entry.version)[0] for entry in self.entries() if not entry.environment]
        number = 1 + max(majors, default=0)
        self._tag(f"{self.name}@v{number}.0.0", commit.commit or "", note or f"model {model.version}")
        return self.versions()[f"v{number}"]

    def promote(self, version: str, environment: str, *, force: bool = False, reason: str = "") -> Entry:
        """Give an environment a version whose verdict is to promote it; otherwise only with `force` and a `reason`, kept."""
        version = short(version[1:]) if re.match(r"v[0-9]", version) else version
        chosen = self.versions().get(version)
        if chosen is None:
            raise RegistryError(f"registry: expected a version of {list(self.versions())}; got {version!r}")
        held, number = self.holder(environment), self._next(environment)  # of two that see the same, one wins
        if held and held.version == version:
            raise RegistryError(f"registry: {environment} has {version} already")
        objection = self.objection(chosen, environment)
        if objection and not force:
            raise RegistryError(
                f'registry: {version} may not serve in {environment}: {objection}; or --force --reason "…"'
            )
        if force and not reason.strip():
            raise RegistryError("registry: expected a reason; --force is recorded with --reason")
        note = f"promote {version} to {environment}"
        note += (
            f"\n\nforced, against: {objection or 'nothing'}\nreason: {reason}" if force else f"\n\n{reason}".rstrip()
        )
        return self._assign(chosen, environment, number, note)

    def rollback(self, environment: str, *, reason: str = "") -> Entry:
        """Give an environment what it had before its last promotion that stands; the way back needs no verdict."""
        standing, number = self._standing(environment), self._next(environment)
        if len(standing) < 2:
            have = standing[-1].version if standing else "nothing"
            raise RegistryError(f"registry: {environment} has {have}, and nothing before it to roll back to")
        before, now = self._version_of(standing[-2]), standing[-1]
        note = f"roll back {environment} from {now.version} to {before.version}" + f"\n\n{reason}".rstrip()
        return self._assign(before, environment, number, note)

    def _next(self, environment: str) -> int:
        return 1 + max((change.number for change in self.changes(environment)), default=0)

    def _standing(self, environment: str) -> list[Entry]:
        """Return the changes that gave an environment what it has, and before that had, each version once in a row."""
        standing: list[Entry] = []
        gone = taken_back(self.entries())
        for change in self.changes(environment):
            if change.action == "unassign":
                standing = [earlier for earlier in standing if earlier.version != change.version]
            elif change.action == "rollback":
                while standing and standing[-1].version != change.version:
                    standing.pop()
            if change.action != "unassign" and (not standing or standing[-1].version != change.version):
                standing.append(change)
        standing = [change for change in standing if (change.version, change.commit) not in gone]
        held = self.holder(environment)
        while held and standing and standing[-1].version != held.version:
            standing.pop()
        return standing

    def push(self, entry: Entry, remote: str) -> None:
        """Push an entry's tag; where another came first, take ours back and say whose it is."""
        tag = entry.tag
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

    def objection(self, chosen: Entry, environment: str) -> str:
        """Return why a version may not have an environment by its verdict, or nothing."""
        held = self.holder(environment)
        at = Revision(self.root, chosen.commit)
        verdict, model = at.record(layout.VERDICT, Verdict), at.record(layout.MODEL, ModelFacts)
        if verdict is None:
            return 'it has no verdict; run "ringbound gate" and commit'
        if model is None or verdict.challenger != model.version:
            return f"its verdict is of model {verdict.challenger}"
        if verdict.decision != "promote":
            failed = "; ".join(f"{r.gate}: {r.says}" for r in verdict.results if r.outcome != "passed")
            return f"its verdict is {verdict.decision} ({failed})"
        if held:
            served = Revision(self.root, held.commit).record(layout.MODEL, ModelFacts)
            champion = served.version if served else "a model that is not described"
            if verdict.champion != champion:
                return f"its verdict is against {verdict.champion}, but {environment} has {champion} ({held.version})"
        return ""

    def _assign(self, chosen: Entry, environment: str, number: int, note: str) -> Entry:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", environment):
            raise RegistryError(f"registry: expected an environment of letters, digits, - and _; got {environment!r}")
        tag = self._tag(f"{self.name}#{environment}#{number}", chosen.commit, note)
        made = next(entry for entry in self.entries() if entry.tag == tag)
        held = self.holder(environment)
        if held and held.version != made.version:  # by a clock that is ahead of this one
            git(self.root, "tag", "-d", tag)
            raise RegistryError(
                f"registry: {held.tag} says that it was made later, at {held.when}, and would still count; check the clocks, "
                "or wait until then"
            )
        return made

    def _tag(self, tag: str, commit: str, note: str) -> str:
        try:
            git(self.root, "tag", "-a", tag, commit, "--cleanup=verbatim", "-m", note)
            return tag
        except WorkspaceError as error:
            if "already exists" not in str(error):
                raise
            raise RegistryError(
                f"registry: another was first: {self._first(tag)}; look at it, then try again"
            ) from error

    def _first(self, tag: str) -> str:
        entry = next((e for e in self.entries() if e.tag == tag), None)
        if entry is None:
            return f"{tag} is there, and no tag that counts; delete it"
        return f"{entry.subject}, by {entry.who} at {entry.when}"


def describe(registry: Registry, name: str) -> str:
    """Return all that is known of a version, or of what an environment has, from git alone."""
    entry = registry.version(name)
    at = Revision(registry.root, entry.commit)
    model = at.record(layout.MODEL, ModelFacts)
    if model is None:
        raise RegistryError(f"registry: {entry.version}: its commit {entry.commit[:8]} has no {layout.MODEL}")
    metrics, verdict = at.record(layout.METRICS, Metrics), at.record(layout.VERDICT, Verdict)
    learnt = model.learnt
    held = [environment for environment, change in registry.environments().items() if change.version == entry.version]
    lines = [
        f"{registry.name} {entry.version}: model {model.version}, {learnt.candidate}",
        f"serves in   {', '.join(held) or 'none'}",
        f"registered  {entry.when} by {entry.who}: {entry.subject}",
        f"commit      {entry.commit}",
        f"features    {model.features}",
        f"learnt from {learnt.rows:,} rows, {learnt.first} to {learnt.last}",
        f"table       sha256 {learnt.data}",
        *(f"data        {path}  md5 {out['md5']}" for path, out in at.outputs.items() if _is_data(path)),
        f"arguments   {json.dumps(learnt.arguments)}",
        *(f"params      {section}: {json.dumps(values)}" for section, values in at.yaml("params.yaml").items()),
    ]
    if metrics:
        lines.append(f"metrics     {', '.join(f'{metric} {value}' for metric, value in metrics.model.items())}")
    if verdict:
        lines.append(f"verdict     {verdict.decision}, against {verdict.champion}")
        lines += [f"            {result.outcome}: {result.gate}: {result.says}" for result in verdict.results]
    else:
        lines.append("verdict     none")
    return "\n".join(lines)


def _is_data(path: str) -> bool:
    return not path.startswith((layout.REPORTS, layout.PLOTS, layout.CODE))


def history(entries: Sequence[Entry]) -> list[str]:
    """Return what happened, one line each."""
    lines = []
    for e in entries:
        note = " / ".join(filter(None, e.note.splitlines()))
        taken = {"deregister": "taken back: ", "unassign": "taken out: "}.get(e.action, "")
        lines.append(f"{e.when}  {e.environment or 'version':<10} {e.version:<5} {taken}{note}  ({e.who})")
    return lines


def open_registry(root: Path) -> Registry:
    """Return the registry of the workspace: of the one artifact of type model in dvc.yaml."""
    artifacts = workspace.load_yaml(root / "dvc.yaml").get("artifacts", {})
    names = [name for name, about in artifacts.items() if (about or {}).get("type") == "model"]
    if len(names) != 1:
        raise RegistryError(f"registry: expected one artifact of type model in dvc.yaml; got {names}")
    return Registry(root, names[0])


def fetch_version(registry: Registry, version: str) -> Path:
    """Return the folder with the bundle and the Bento of a version, or of what an environment has, checked to be it."""
    entry = registry.version(version)
    at = Revision(registry.root, entry.commit)
    folder = workspace.fresh_folder(registry.root / layout.FETCHED / version)
    for path in SERVED:
        at.fetch(path, folder)
    fetched, described = read_facts(folder / layout.MODELS).model, at.record(layout.MODEL, ModelFacts)
    if described is None or fetched.version != described.version:
        expected = described.version if described else f"one that its {layout.MODEL} describes"
        raise RegistryError(f"registry: expected model {expected} for {entry.version}; fetched is {fetched.version}")
    return folder
