"""Which release to go back to, by what runs and the ledger, and what its manifests hold, from the tag's own tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from rollback_lib.core.errors import Refusal, RefusedError
from rollback_lib.core.manifests import grouping, manifest_objects, services
from rollback_lib.core.manifests.grouping import SourceObject
from rollback_lib.core.manifests.manifest_objects import Document
from rollback_lib.core.manifests.tree import Files
from rollback_lib.core.reasons import Reason
from rollback_lib.core.releases import left_out, matching, target
from rollback_lib.core.releases import tags as release
from rollback_lib.core.releases.ledger import Ledger
from rollback_lib.core.releases.live import Live
from rollback_lib.core.releases.tags import ReleaseRef
from rollback_lib.core.releases.target import TargetChoice
from rollback_lib.core.run.records import Request, Resolution
from rollback_lib.core.settings.parameters import LAST_GOOD
from rollback_lib.ports import Ports
from rollback_lib.releases import reading, what_runs
from rollback_lib.releases.what_runs import Now


def resolve(request: Request, ports: Ports, look: Callable[[], Now] | None = None) -> tuple[Resolution, Now]:
    """(the release that is asked for, what runs now). ``look``: tells what runs, else the cluster is asked.

    Raises RefusedError where no release can be gone back to, or its manifests do not read; UsageError for
    a service that it has not.
    """
    settings = request.settings
    tags = ports.git.tags()
    if request.to != LAST_GOOD:
        release.find(tags, request.to)  # before the cluster is asked: a name that is wrong is wrong at once
    now = look() if look else what_runs.look(request, ports)
    ledger, live, matched = *now, what_runs.matched(request, now, ports)
    choice = target.choose(request.to, tags, settings.releases.tag, ledger, matched, request.accept, undo=request.undo)
    paths = settings.manifests
    its = reading.release(ports, settings, choice.target.commit)
    held = its.held
    texts, ignore = held.texts, settings.services.ignore
    refused = [
        Refusal(
            f"{u.path} of {choice.target.release} {u.why}.", fix=u.fix,
            reason=Reason.FILE_UNREAD, subject=u.path, facts=(choice.target.release,),
        )
        for u in held.unread
        if services.concerns(u, paths.paths, paths.shared, ignore)
    ]  # fmt: skip
    if refused:
        raise RefusedError(*refused)
    order = settings.services.order
    found = services.discover(tuple(texts), paths.paths, paths.shared, order, ignore, request.services)
    found = services.once(found, held.links)
    objects: list[SourceObject] = []
    doubled: list[str] = []
    read: dict[str, Sequence[Document]] = {}
    whole = {file: (service.name, service.wave) for service in found.services for file in service.files}
    whole |= dict.fromkeys(found.shared, (grouping.SHARED, 0))
    for file, (service, wave) in whole.items():
        try:
            # filled in first: a name may be a placeholder, and an object is known by its name from here on
            manifest = its.manifest(file)
        except RefusedError as error:
            *others, last = error.refusals
            refused += [*others, msgspec.structs.replace(last, fix=f"{last.fix} {grouping.leave_out(file)}".strip())]
            continue
        read[file] = documents = manifest.documents
        doubled += [str(problem) for problem in manifest_objects.doubled(manifest)]
        objects += [grouping.source(d, service, wave, request.target_environment.namespace) for d in documents]
    if refused:
        raise RefusedError(*refused)
    left = () if request.undo or request.services else _left_out(request, choice, objects, ports)
    if not objects:
        said = f"{choice.target.release} has no manifests below {paths.where}."
        raise RefusedError(" ".join((said, *left, "Check `manifests.path` in rollback.yaml.")))
    if any(not o.service for o in objects):
        objects = grouping.by_workload(objects, read, order, ignore, request.services)
    waves = dict(sorted({o.service: o.wave for o in objects}.items(), key=lambda item: (item[1], item[0])))
    left = (*left, *_left_ahead(request, choice, ledger, live, held))
    resolution = Resolution(
        target=choice.target,
        releases=tuple(_ref(t) for t in release.releases(tags, settings.releases.tag)),
        objects=tuple(sorted(objects, key=lambda o: (o.wave, o.service))),
        files=tuple(dict.fromkeys(o.file for o in objects)),
        services=tuple((name, wave) for name, wave in waves.items()),
        current=release.dated(matched.current, tags),
        recorded=choice.entry,
        in_ledger=tuple(e.release for e in ledger.entries),
        held=ledger.held_images,
        refusals=choice.refusals,
        warnings=(*choice.warnings, *found.warnings, *doubled, *left),
    )
    return resolution, now


def _left_out(
    request: Request, choice: TargetChoice, objects: Sequence[SourceObject], ports: Ports
) -> tuple[str, ...]:  # fmt: skip
    planned = {f"{o.kind}/{o.name}" for o in objects}
    try:
        found = reading.left_out(ports, request.settings, choice.target.commit, planned)
    except RefusedError as error:
        return (f"What else the release has, beyond `manifests.path`, is not known: {error}",)
    return tuple(left_out.warnings(found, {o.file for o in objects}))


def _ref(tag: release.Tag) -> ReleaseRef:
    return ReleaseRef(release=tag.name, commit=tag.commit, date=tag.date)


def _left_ahead(request: Request, choice: TargetChoice, ledger: Ledger, live: Live, held: Files) -> Sequence[str]:
    """What a rollback of some services leaves as it is, although it was released together with them."""
    settings = request.settings
    if not request.services or not all(services.SERVICE in path for path in settings.manifests.paths):
        return ()
    paths = settings.manifests
    every = services.discover(tuple(held.texts), paths.paths, paths.shared, (), settings.services.ignore)
    every = services.once(every, held.links)
    others = {s.name for s in every.services} - set(request.services)
    ahead = matching.ahead(ledger, choice.entry, live, others)
    if not ahead:
        return ()
    named = ", ".join(f"{s} ({r})" if r else s for s, r in ahead[:6]) + (" ..." if len(ahead) > 6 else "")
    return (
        f"Only {', '.join(request.services)} goes back to {choice.target.release}; released together with it, and "
        f"left as it is: {named}. Make sure that they work together.",
    )
