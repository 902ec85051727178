"""Works out the release to go back to and reads its manifests from the tag's own tree."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_lib.core import grouping, manifests, placeholders, release, services
from rollback_lib.core.errors import Refusal, RefusedError
from rollback_lib.core.run import ReleaseRef, Request, Resolution, SourceObject
from rollback_lib.ports import Ports, RunStore, Writer

ID = "resolve"
WRITES = False


def run(run: RunStore, ports: Ports, write: Writer) -> Resolution:
    request = run.get(Request)
    settings = request.settings
    tags = ports.git.tags()
    target, warnings = _target(request, tags)
    paths = settings.manifests
    roots = services.roots(paths.path, paths.shared)
    texts = ports.git.files(target.commit, roots)
    found = services.discover(
        tuple(texts), paths.path, paths.shared, settings.services.order, settings.services.ignore, request.services
    )
    refused: list[Refusal] = []
    objects: list[SourceObject] = []
    read: dict[str, Sequence[manifests.Document]] = {}
    whole = {file: (service.name, service.wave) for service in found.services for file in service.files}
    whole |= dict.fromkeys(found.shared, (grouping.SHARED, 0))
    for file, (service, wave) in whole.items():
        try:
            # filled in first: a name may be a placeholder, and an object is known by its name from here on
            read[file] = documents = manifests.read(placeholders.substitute(texts[file], file, paths.substitute), file)
        except RefusedError as error:
            refused += error.refusals
            continue
        objects += [
            SourceObject(
                service=service, wave=wave, file=file, document=d.index, part=d.part,
                kind=d.object["kind"], name=d.object["metadata"]["name"], api_version=d.object["apiVersion"],
            )
            for d in documents
        ]  # fmt: skip
    if refused:
        raise RefusedError(*refused)
    if not objects:
        raise RefusedError(
            f"{target.release} has no manifests below {paths.path}. Check `manifests.path` in rollback.yaml."
        )
    if any(not o.service for o in objects):
        objects = grouping.by_workload(
            objects, read, settings.services.order, settings.services.ignore, request.services
        )
    waves = dict(sorted({o.service: o.wave for o in objects}.items(), key=lambda item: (item[1], item[0])))
    return Resolution(
        target=target,
        releases=tuple(_ref(t) for t in release.releases(tags, settings.releases.tag)),
        objects=tuple(sorted(objects, key=lambda o: (o.wave, o.service))),
        files=tuple(dict.fromkeys(o.file for o in objects)),
        services=tuple((name, wave) for name, wave in waves.items()),
        warnings=(*warnings, *found.warnings),
    )


def _ref(tag: release.Tag, chosen_by: str = "") -> ReleaseRef:
    return ReleaseRef(release=tag.name, commit=tag.commit, date=tag.date, chosen_by=chosen_by)


def _target(request: Request, tags: Sequence[release.Tag]) -> tuple[ReleaseRef, tuple[str, ...]]:
    pattern = request.settings.releases.tag
    if request.to != "last-good":
        found = release.find(tags, request.to)
        if request.undo:
            return _ref(found, f"undo of run {request.undo}"), ()
        if not release.matches(pattern, found.name):
            return _ref(found, "--to"), (f"{found.name} does not match the release pattern {pattern!r}.",)
        return _ref(found, "--to"), ()
    proposal = release.propose_previous(tags, pattern, None)
    tie = f"; on the same commit: {', '.join(proposal.tie)}" if proposal.tie else ""
    return _ref(proposal.tag, PROPOSED), (
        f"{proposal.tag.name} is only a proposal: the release before {proposal.after} by {proposal.by}{tie}. "
        f"Name the release with --to.",
    )


PROPOSED = "proposal by commit date"
