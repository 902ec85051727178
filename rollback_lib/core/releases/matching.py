"""Which recorded release the live workloads are, by the ledger: digest sets first, then the configuration.

A service matches a record when every one of its workloads runs the recorded bits, in its newest template and in that
template's pods. A workload at 0 replicas says nothing, unless its template names a digest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from rollback_lib.core.images.reference import digest_of, repository_of
from rollback_lib.core.images.rungs import RecordedContainer, same_image
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.releases.ledger import Entry, LastRun, Ledger, RecordedWorkload
from rollback_lib.core.releases.live import Live, LiveContainer, LiveWorkload
from rollback_lib.core.releases.tags import BY_LEDGER, LAST_RUN, SERVICES, UNKNOWN, ReleaseRef
from rollback_lib.core.settings.model import Settings

MIXED: Final = "mixed"
_BY_LEDGER: Final = "what runs: the digests of its ledger record"


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says of what runs.

    ``current`` is a release, ``mixed`` or ``unknown``; ``services`` has the release of each service that matches one.
    ``same`` are the releases that could not be told from what runs by digests and pod templates: all of them run.
    ``last_run`` says that what the last rollback brought still runs.
    """

    current: ReleaseRef = UNKNOWN
    services: tuple[tuple[str, str], ...] = ()
    same: tuple[str, ...] = ()
    last_run: bool = False


def match(ledger: Ledger, live: Live, settings: Settings, only: Collection[str] = ()) -> Matched:
    """Compare what runs with every record. ``only``: judge these services, as a run with ``--service`` does."""
    by_digests = [e for e in ledger.entries if _runs_whole(e, live, settings, only)]
    exact = [e for e in by_digests if _same_templates(_of(e.workloads, only), live)]
    last = ledger.last_run
    went = last is not None and _last_runs(last, live, only)
    chosen = _chosen(exact or by_digests, last if went else None)
    services = _by_service(ledger, live, only)
    if chosen is not None:
        current = ReleaseRef(
            release=chosen.release, commit=chosen.commit,
            chosen_by=_BY_LEDGER if isinstance(chosen, Entry) else "what runs: the digests of the last rollback",
            chosen_how=BY_LEDGER if isinstance(chosen, Entry) else LAST_RUN,
        )  # fmt: skip
    elif services and len({r for _, r in services}) > 1 and "" not in {r for _, r in services}:
        current = ReleaseRef(release=MIXED, chosen_by=", ".join(f"{s} {r}" for s, r in services), chosen_how=SERVICES)
    else:
        current = UNKNOWN
    named = tuple((s, r) for s, r in services if r)
    return Matched(current=current, services=named, same=tuple(e.release for e in exact), last_run=went)


def _chosen(entries: Sequence[Entry], last: LastRun | None) -> Entry | LastRun | None:
    """Of several records of the same bits the one that the last rollback went to, else the newest."""
    if last is not None:
        return next((e for e in entries if e.release == last.release), entries[0] if entries else last)
    return entries[0] if entries else None


def _of(workloads: Sequence[RecordedWorkload], only: Collection[str]) -> list[RecordedWorkload]:
    return [w for w in workloads if not only or w.service in only]


def _runs_whole(entry: Entry, live: Live, settings: Settings, only: Collection[str]) -> bool:
    said = [_runs(w, live.get(w.ref)) for w in _of(entry.workloads, only)]
    if False in said or True not in said:
        return False
    known = {str(w.ref) for w in entry.workloads} | set(entry.others)
    return bool(only) or not [w for w in own_workloads(live, settings) if w not in known]


def _last_runs(last: LastRun, live: Live, only: Collection[str]) -> bool:
    """Whether what the last rollback brought is what runs, for all that is asked about."""
    asked = _of(last.workloads, only)
    covers = last.whole or (bool(only) and set(only) <= {w.service for w in last.workloads})
    said = [_runs(w, live.get(w.ref)) for w in asked]
    return covers and False not in said and True in said


def _runs(recorded: RecordedWorkload, live: LiveWorkload | None) -> bool | None:
    """Whether a workload runs the recorded bits; None where nothing tells."""
    if live is None:
        return False
    known = {ref: c for ref, c in recorded.by_ref.items() if c.digest}
    own = {ref: c for ref, c in known.items() if c.own} or known
    there = live.by_ref
    said = [_container_runs(c, there.get(ref), live.desired) for ref, c in own.items()]
    if False in said:
        return False
    return True if True in said else None


def _container_runs(recorded: RecordedContainer, live: LiveContainer | None, desired: int) -> bool | None:
    if live is None:
        return False
    wanted = recorded.digest_set
    named = digest_of(live.image)
    if live.newest:
        return all(same_image(wanted, i) for i in live.newest) and (not named or named in wanted)
    if named:
        return named in wanted
    return False if desired and not live.volume else None  # of a volume most pods do not say what it is


def _same_templates(workloads: Sequence[RecordedWorkload], live: Live) -> bool:
    found = [(w.template, live.get(w.ref)) for w in workloads]
    return all(now is not None and (not template or template == now.template) for template, now in found)


def ahead(ledger: Ledger, target: Entry | None, live: Live, others: Collection[str]) -> tuple[tuple[str, str], ...]:
    """(service, the release that it runs; empty where not known) of the services that a rollback of some leaves.

    Without those that run what the target had for them anyway.
    """
    back = {w.service for w in target.workloads} if target else set()
    back -= {w.service for w in (target.workloads if target else ()) if _runs(w, live.get(w.ref)) is not True}
    known = dict(_by_service(ledger, live, ()))
    return tuple((service, known.get(service, "")) for service in sorted(set(others) - back))


def _by_service(ledger: Ledger, live: Live, only: Collection[str]) -> tuple[tuple[str, str], ...]:
    """(service, the newest release whose record it matches; empty where none) of every service in the ledger."""
    found: dict[str, str] = {}
    for entry in ledger.entries:
        for service in entry.services:
            if (only and service not in only) or found.get(service):
                continue
            said = [_runs(w, live.get(w.ref)) for w in entry.workloads if w.service == service]
            found[service] = entry.release if True in said and False not in said else ""
    there = {w.service for e in ledger.entries for w in e.workloads if live.get(w.ref)}
    return tuple(sorted((s, r) for s, r in found.items() if s in there))


def own_workloads(live: Live, settings: Settings) -> tuple[str, ...]:
    """The workloads that run an image of the team's, as far as ``images.repository`` tells; the ignored aside."""
    ours = [w for w in live.workloads if any(team_service(c.image, settings) is not None for c in w.containers)]
    return tuple(w.label for w in ours)


def team_service(image: str, settings: Settings) -> str | None:
    """The service whose image it is by ``images.repository``, empty where that names none; None: not the team's, or of
    one that settings leave out."""
    pattern = settings.images.repository
    if not pattern:
        return None
    ours = re.escape(pattern).replace(re.escape("{service}"), "(?P<service>[^/]+)")
    found = re.fullmatch(ours, repository_of(image))
    service = found.groupdict().get("service", "") if found else None
    return None if service in settings.services.ignore else service


def changed_objects(entry: Entry, hashes: Mapping[ObjectRef, str]) -> tuple[str, ...]:
    """The recorded objects of these kinds that are not as they were: ``hashes`` has what is live, by kind and name."""
    kinds = {ref.kind for ref in hashes}
    return tuple(str(o.ref) for o in entry.objects if o.kind in kinds and hashes.get(o.ref) != o.hash)
