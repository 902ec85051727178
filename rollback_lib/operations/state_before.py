"""The state before a run as a release of its own, and the run that goes back to it: begun, or gone on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from rollback_lib.core.errors import EXIT_DONE
from rollback_lib.core.kube.field_owners import appliers
from rollback_lib.core.kube.objects import ref_of
from rollback_lib.core.manifests.tree import Files
from rollback_lib.core.plan import undo as before
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.releases.tags import RepositoryIdentity, Tag
from rollback_lib.core.run.journal import LOCK_RELEASED, Mark, done_stages, holds_lock
from rollback_lib.core.run.records import Images, Request
from rollback_lib.operations import run as operation
from rollback_lib.operations.run import Outcome
from rollback_lib.ports import GitHistory, Once, Ports, RunStore


class StateBefore:
    """The repository, with the state before a run as one more tag. ``ran``: the commit that ran then, if known."""

    def __init__(self, git: GitHistory, tag: Tag, tree: Mapping[str, bytes], ran: str) -> None:
        self._git, self._tag, self._tree, self._ran = git, tag, tree, ran

    def identity(self) -> RepositoryIdentity:
        return self._git.identity()

    def remote_tags(self, names: Sequence[str]) -> Mapping[str, str] | None:
        return self._git.remote_tags(names)

    def tags(self) -> Sequence[Tag]:
        return [*self._git.tags(), self._tag]

    def files(self, commit: str, prefixes: Sequence[str]) -> Mapping[str, bytes]:
        if commit != self._tag.commit:
            return self._git.files(commit, prefixes)
        return {f: d for f, d in self._tree.items() if any(p in ("", f) or f.startswith(f"{p}/") for p in prefixes)}

    def tree(self, commit: str, prefixes: Sequence[str]) -> Files:
        return Files(self.files(commit, prefixes)) if commit == self._tag.commit else self._git.tree(commit, prefixes)

    def whole(self, commit: str) -> Files:
        return Files(self._tree) if commit == self._tag.commit else self._git.whole(commit)

    def naming(self, texts: Sequence[str], commits: Sequence[str], prefixes: Sequence[str]) -> Mapping[str, set[str]]:
        return self._git.naming(texts, [c for c in commits if c != self._tag.commit], prefixes)

    def list_paths(self, commit: str) -> Sequence[str]:
        return list(self._tree) if commit == self._tag.commit else self._git.list_paths(commit)

    def blobs(self, commit: str) -> Mapping[str, str]:
        """Its migrations are those of the code that ran."""
        if commit == self._tag.commit:
            return self._git.blobs(self._ran) if self._ran else {}
        return self._git.blobs(commit)

    def contents(self, blobs: Sequence[str]) -> Mapping[str, bytes]:
        return self._git.contents(blobs)


def execute(run: RunStore, of: RunStore, ports: Ports) -> Outcome:
    """Go back to the state before the run ``of``. That run is over when this one ends well."""
    return _ended(run, of, operation.execute(run, _ports(run, of, ports)))


def one(run: RunStore, of: RunStore, ports: Ports, stage: str) -> Outcome:
    """As `execute`, one stage."""
    return _ended(run, of, operation.one(run, _ports(run, of, ports), stage))


def _ports(run: RunStore, of: RunStore, ports: Ports) -> Ports:
    plan, images = of.get(Plan), of.get(Images)
    objects = [(file, msgspec.json.decode(of.read(before.file_of(ref)))) for file, ref in before.changed(plan)]
    for _, body in objects:  # what it puts back is theirs as it was, and no more: others may own the rest
        was = msgspec.structs.replace(appliers(body), heir="")
        if was.entries:
            run.write(f"{before.kept(ref_of(body))}.appliers.json", msgspec.json.encode(was))
    tree = before.tree(objects, plan, images)
    tag = before.tag(of.get(Request).run, tree, plan.made_at)
    return replace(ports, git=StateBefore(ports.git, tag, tree, plan.current.commit), once=Once())


def _ended(run: RunStore, of: RunStore, outcome: Outcome) -> Outcome:
    gave_back = "reopen" in done_stages(run.events())
    if outcome.ending.code == EXIT_DONE and gave_back and holds_lock(of.events()):
        of.append(Mark.DONE, "reopen", key=LOCK_RELEASED, what=f"undone by run {run.get(Request).run}")
    return outcome
