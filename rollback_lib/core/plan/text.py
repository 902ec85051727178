"""The plan for a person at three in the morning: 80 columns, the dangerous things first, nothing to scroll for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rollback_lib.core.kube import owners
from rollback_lib.core.kube.owners import Owner
from rollback_lib.core.manifests import bots
from rollback_lib.core.plan import orphans
from rollback_lib.core.plan.model import (
    DELETE,
    LEFT,
    NONE,
    Leftover,
    Plan,
    PlannedContainer,
    PlannedObject,
    PlannedService,
    PlannedTag,
)
from rollback_lib.core.redact import visible
from rollback_lib.core.releases import deploying
from rollback_lib.core.wording import counted, some, wrapped

_RUNGS = {
    "ledger": "what ran at that release, by the ledger",
    "release-tag": "registry tag of the release",
    "manifest": "named by the release's manifest",
    "history": "pods of an older revision run it",
    "revision": "AN OLDER REVISION names it: only its time says that it is this release",
    "reference": "REFERENCE TAG: nothing proves the release",
    "as-is": "not the team's: as the manifest has it",
    "unproven": "not asked (offline)",
}


def text(plan: Plan, *, diff: bool = True) -> str:
    """The whole plan. Never holds a secret: what it shows was redacted when it was made."""
    return visible("\n".join(_lines(plan, diff))) + "\n"


def headline(plan: Plan) -> str:
    """From where to where, in one line."""
    if plan.current.release == plan.target.release and plan.writes:
        return (
            f"{plan.application} {plan.environment}: the images of {plan.target.release} run; the rest goes back to it"
        )
    known = plan.current.release if plan.current.release != "unknown" else "what runs now (no release that we can name)"
    return f"{plan.application} {plan.environment}: {known} → {plan.target.release}"


def _lines(plan: Plan, diff: bool) -> Iterator[str]:
    if plan.locked_by:
        yield from wrapped(f"LOCKED by {plan.locked_by}: `rollback run` would end with 6.", "")
        yield ""
    for at_work in deploying.said(plan.deploying):
        yield from wrapped(at_work, "! ")
        yield ""
    yield headline(plan)
    yield f"  commit   {plan.target.commit[:12]} of {plan.target.date or 'unknown date'} ({plan.target.chosen_by})"
    if where := " ".join(part for part in (plan.repository.root, plan.repository.url) if part):
        yield from wrapped(where, "  git      ")
    yield f"  cluster  {plan.cluster.context or '(default context)'}  {plan.cluster.server}"
    yield f"           namespace {plan.namespace} ({plan.cluster.namespace_uid or 'not asked'})"
    if plan.proven:
        yield from _traffic(plan)
    yield f"  plan     {plan.hash}"
    if plan.refusals:
        yield ""
        yield "REFUSED, nothing was changed:"
        for refusal in plan.refusals:
            yield from wrapped(str(refusal), "  ✗ ")
    for wave in plan.waves:
        for service in wave:
            yield from _service(plan, service, diff)
    if plan.leftovers:
        yield ""
        yield "An ordinary apply would leave these behind; they are taken away:"
        yield from _leftovers(plan.leftovers)
    if plan.orphans:
        yield ""
        yield "Only the failed release has these:"
        for orphan in sorted(plan.orphans, key=lambda o: (o.change != DELETE, *orphans.told_first(o))):
            fate = "deleted, once every service is healthy" if orphan.change == DELETE else f"left, {orphan.why}"
            yield from wrapped(f"{orphan.ref}: {fate}", "  - ")
    if plan.retag:
        yield ""
        yield "Once it has proven itself, registry tags are moved:"
        for tag in plan.retag:
            yield from wrapped(tag_line(tag), "  - ")
    for title, texts in (("Warnings:", plan.warnings), ("Accepted:", plan.accepted)):
        if texts:
            yield ""
            yield title
            for said in texts:
                yield from wrapped(said, "  ! ")
    if warning := mutable_warning(plan, [t.reference for t in plan.retag]):
        yield ""
        yield from wrapped(warning, "  ! ")
    for warning in filter(None, (bots.warning(plan.bots), *undone(plan))):
        yield ""
        yield from wrapped(warning, "  ! ")
    yield ""
    yield summary(plan)


def _traffic(plan: Plan) -> Iterator[str]:
    ready = f"{counted(plan.healthy_pods, 'pod is', 'pods are')} Ready now"
    closing = plan.isolation
    if not plan.closes:
        yield f"  traffic  stays open; {ready}"
        return
    names = ", ".join(f"{t.ref} ({t.healthy} Ready behind it now)" for t in closing.targets)
    instead = f"; visitors get the maintenance page of {closing.maintenance}" if closing.maintenance else ""
    said = f"CLOSED while the shop is changed, at {names}, {closing.drain} to drain{instead}; {ready}"
    yield from wrapped(said, "  traffic  ")


def _service(plan: Plan, service: PlannedService, diff: bool) -> Iterator[str]:
    said = [line for planned in service.objects for line in _object(plan, service, planned, diff)]
    if said:
        numbers = [n for n in dict.fromkeys(s.wave for s in plan.services) if n]  # 0 has the shared objects
        yield ""
        yield service.name + (f"  (wave {service.wave})" if service.wave and len(numbers) > 1 else "")
        yield from said


def _object(plan: Plan, service: PlannedService, planned: PlannedObject, diff: bool) -> Iterator[str]:
    name = str(planned.ref)
    if planned.change == LEFT:
        yield from wrapped(f"{name}: left, {planned.why}", "  ")
    elif planned.change != NONE:
        late = "; last, once the new pods are Ready" if planned.after_rollout else ""
        if planned.replicas:
            late = f", {scaled(planned)}{late}"
        yield from wrapped(f"{name}: {planned.change}" + (f" ({planned.why})" if planned.why else "") + late, "  ")
        mine = [c for c in service.containers if c.workload == name]
        yield from (f"    {c.name}: {c.to} (not asked)" for c in mine if not plan.proven)
        shown = [c for c in mine if c.from_ != c.to]
        for container in shown:
            yield from _container(container)
        images = {f"ontainers[{c.name}].image" for c in shown}
        lines = [line for line in planned.diff if not any(i in line for i in images)]
        yield from (f"    {line}" for line in lines if diff)
    if plan.sticks(planned):
        if planned.change == NONE:
            yield f"  {name}: is as planned, and stuck"
        yield from wrapped("its pods that are stuck are deleted, one at a time: else it never comes back", "    ")
    for field in planned.kept:
        yield from wrapped(f"{name}: {field}: somebody else set it", "  · ")


def scaled(planned: PlannedObject) -> str:
    """How many pods the plan makes it ask for; empty where it leaves that alone."""
    was, then = ("as many as it is given" if n is None else n for n in planned.replicas or ("", ""))
    return f"replicas {was} → {then}" if planned.replicas else ""


def _container(container: PlannedContainer) -> Iterator[str]:
    """From and to, the repository once where it stays, the digest as far as people compare it."""
    kind = f"{container.ref.what} " if container.init or container.volume else ""
    to, _, digest = container.to.partition("@")
    proof = _RUNGS.get(container.rung, container.rung)
    yield f"    {kind}{container.name}: {container.from_}"
    yield f"      → {to}" + (f"@{digest[:19]}…" if digest else "")
    yield f"        {proof}"


def _leftovers(leftovers: Sequence[Leftover]) -> Iterator[str]:
    """The same thing in ten services is one line."""
    groups: dict[str, list[str]] = {}
    for leftover in leftovers:
        what = leftover.part if leftover.container == leftover.name else leftover.what
        groups.setdefault(what, []).append(leftover.name)
    for what, names in groups.items():
        yield from wrapped(f"{what}: {', '.join(names)}", "  - ")


def tag_line(tag: PlannedTag) -> str:
    """From and to of one tag, the digests as far as people compare them."""
    known = f" ({tag.release})" if tag.release else ""
    return f"{tag.reference}: {_short(tag.from_)}{known} → {_short(tag.to)}"


def _short(digest: str) -> str:
    return digest.rpartition(":")[2][:12]


def mutable_warning(plan: Plan, over: Collection[str] = ()) -> str:
    """What the team's next ordinary deploy would bring back; empty where no mutable tag names the failed image.

    ``over``: references of which that is no longer true.
    """
    if (found := still_failed(plan, over)) is None:
        return ""
    names, where, failed = found
    failed = failed or "another image than the restored one"
    where = where if isinstance(where, str) else f"{where} repositories"
    return f"{names} in {where} is still {failed}: the next ordinary deploy brings it back."


def still_failed(plan: Plan, over: Collection[str] = ()) -> tuple[str, str | int, str] | None:
    """(the mutable tags that name another image, their repository or how many there are, the release if it is known).

    None where there are none.
    """
    still = [m for m in plan.mutable_tags if m.reference not in over]
    if not still:
        return None
    tags = sorted({m.reference.rsplit(":", 1)[-1] for m in still})
    releases = sorted({m.release for m in still})
    known = " or ".join(releases) if all(releases) else ""
    if not known and plan.current.release not in ("unknown", plan.target.release):
        known = plan.current.release
    many = len(still)
    where = still[0].reference.rsplit(":", 1)[0] if many == 1 else many
    return ", ".join(f":{t}" for t in tags), where, known


def left_tag(reference: str) -> str:
    """A tag that was to be moved, and that somebody else moved first."""
    return f"{reference} was moved by someone else meanwhile and left so: see what it brings."


def cautions(plan: Plan) -> tuple[str, ...]:
    """What has to be known by whoever is asked to approve the plan, a sentence each."""
    scaling = [f"{o.ref} {scaled(o)}" for s in plan.services for o in s.objects if o.replicas]
    return (*((f"Changes how many run: {some(scaling)}.",) if scaling else ()), *undone(plan))


def undone(plan: Plan) -> tuple[str, ...]:
    """Which other programs will undo the rollback of what is theirs, or are suspended, a sentence each."""
    theirs: dict[Owner, list[str]] = {}
    for planned in (o for s in plan.services for o in s.objects):
        if planned.owner:
            theirs.setdefault(planned.owner, []).append(str(planned.ref))
    return tuple(owners.undoes(owner, labels) for owner, labels in sorted(theirs.items()))


def changes(plan: Plan) -> dict[str, int]:
    """How many objects each change is planned for."""
    counts: dict[str, int] = {}
    for service in plan.services:
        for planned in service.objects:
            counts[planned.change] = counts.get(planned.change, 0) + 1
    for orphan in plan.orphans:
        if orphan.change == DELETE:
            counts[DELETE] = counts.get(DELETE, 0) + 1
    return counts


def summary(plan: Plan) -> str:
    """How much is done, in one line."""
    counts = changes(plan)
    if plan.refusals:
        return "Refused. Nothing was changed."
    if not plan.writes:
        if not plan.proven:
            return "Nothing to do."
        but = plan.has.but
        return f"Nothing to do: {plan.target.release} is what runs{f'; {but}' if but else ''}."
    parts = [f"{n} to {change}" for change, n in sorted(counts.items()) if change not in (NONE, LEFT)]
    if plan.retag:
        parts.append(f"{counted(len(plan.retag), 'tag', 'tags')} to move")
    if plan.stuck:
        parts.append(f"stuck pods of {counted(len(plan.stuck), 'StatefulSet', 'StatefulSets')} to delete")
    rest = [f"{n} {word}" for change, word in ((NONE, "unchanged"), (LEFT, "left")) if (n := counts.get(change))]
    but = plan.has.but
    return f"{', '.join(parts)}; {', '.join(rest) or 'nothing else'}{f'; {but}' if but else ''}."
