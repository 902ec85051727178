"""`rollback history`: the ledger beside git, the registry and what runs. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rollback_lib.collectors import ledger as collector
from rollback_lib.collectors import run_record
from rollback_lib.collectors.migrations import Schema
from rollback_lib.core.errors import RefusedError, RollbackError
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.readouts import history
from rollback_lib.core.readouts.history import History, Release
from rollback_lib.core.readouts.status import LastRun, last_run
from rollback_lib.core.releases import live, matching
from rollback_lib.core.releases import tags as release
from rollback_lib.core.releases.ledger import Ledger, Quarantine
from rollback_lib.core.releases.tags import UNKNOWN, ReleaseRef, Tag
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings.model import Settings
from rollback_lib.operations import running
from rollback_lib.ports import Ports, Session
from rollback_lib.releases.what_runs import node_platforms


def look(session: Session) -> History:
    """The releases of an environment. Raises RefusedError where git or the cluster cannot be asked."""
    settings, environment, ports = session.settings, session.environment, session.ports
    known, now = collector.look(ports, settings.application, environment)
    tags = release.releases(ports.git.tags(), settings.releases.tag)
    matched = matching.match(known, now, settings)
    if matched.current.release == UNKNOWN.release:  # the ledger does not tell, and the registry may
        matched = msgspec.structs.replace(matched, current=running.find(session).current)
    asked = history.references(known)
    answers = ports.registry.look_up(asked, platforms=node_platforms(ports)) if asked else {}
    kinds = list(dict.fromkeys(o.kind for e in known.entries for o in e.objects))
    snapshot = ports.cluster.snapshot(kinds) if kinds else None
    hashes = {
        ObjectRef(kind, name): live.object_hash(obj)
        for kind, found in (snapshot.objects.items() if snapshot else ())
        for name, obj in found.items()
    }
    found = history.releases(known, matched, tags, answers, hashes)
    problems = [*known.problems, *([f"The ledger could not be read: {known.unread}"] if known.unread else [])]
    return History(
        application=settings.application, environment=environment, current=matched.current, services=matched.services,
        releases=_with_migrations(found, matched.current, tags, settings, ports), unnamed=_unnamed(known),
        problems=tuple(problems), now=ports.clock.now().isoformat(timespec="seconds"),
    )  # fmt: skip


def _with_migrations(
    found: Sequence[Release], current: ReleaseRef, tags: Sequence[Tag], settings: Settings, ports: Ports
) -> tuple[Release, ...]:
    """The recorded releases with the migrations that going back to them would leave in the database."""
    if not current.commit:
        return tuple(found)
    schema = Schema(ports.git, settings, [ReleaseRef(release=t.name, commit=t.commit) for t in tags])
    return tuple(_with_schema(one, current, schema) for one in found)


def _with_schema(one: Release, current: ReleaseRef, schema: Schema) -> Release:
    if one.changes is None or one.state == history.CURRENT:
        return one
    of = ReleaseRef(release=one.release, commit=one.commit)
    try:
        named = tuple(m.name for m in schema.between(current, of, one.images))
    except RefusedError:  # its commit is not in this clone, as far as a shallow one goes
        return one
    return msgspec.structs.replace(one, migrations=named)


def _unnamed(known: Ledger) -> tuple[Quarantine, ...]:
    return tuple(q for q in known.quarantines if not q.release)


def past_runs(session: Session) -> History:
    """The runs of this machine that meant to change something, newest first. One that does not read is passed over."""
    settings, environment, runs = session.settings, session.environment, session.runs.all()
    found: list[LastRun] = []
    for run in runs:
        try:
            request = run.find(Request)
            if request and request.environment == environment and not request.dry_run:
                found.append(last_run(request, run_record.stands(run)))
        except (RollbackError, msgspec.MsgspecError, OSError):
            continue
    return History(
        application=settings.application, environment=environment, current=UNKNOWN,
        runs=tuple(sorted(found, key=lambda r: r.started, reverse=True)),
    )  # fmt: skip
