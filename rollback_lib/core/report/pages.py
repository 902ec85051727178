"""The incident record as a page, from the report: a person only has to finish it. No blame; times in UTC and local."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rollback_lib.core.plan.model import LEFT
from rollback_lib.core.report.model import ChangedObject, Report
from rollback_lib.core.report.page import (
    Block,
    Bullets,
    Code,
    Fields,
    Inline,
    Link,
    Log,
    Page,
    Section,
    Table,
    Text,
    is_http,
)
from rollback_lib.core.report.story import in_utc
from rollback_lib.core.report.words import change_in, follow_up, words
from rollback_lib.core.run.journal import UNKNOWN

_SUGGESTIONS: Final = 8
_SLOWEST: Final = 6

Words = Mapping[str, str]


def page(report: Report, language: str) -> Page:
    """The record in this language; what the run itself said stays as it said it."""
    said = words(language)
    what = f"{report.application} {report.environment}".strip() or report.run
    target = report.to_release.release if report.to_release else report.asked_for
    state, label = (
        ("good", "restored") if report.restored and report.exit_code == 0
        else ("still", "undone") if report.undoes and report.exit_code == 0 and report.wrote
        else ("still", "partly") if report.but and report.verification and report.verification.healthy
        else ("bad", "not-restored") if report.wrote or report.traffic == "closed"
        else ("good", "restored") if report.restored
        else ("still", "nothing")
    )  # fmt: skip
    sections: list[tuple[str, Iterator[Block]]] = [
        ("impact", _impact(report, said)),
        ("timeline", _timeline(report, said, language)),
        ("evidence", _evidence(report, said)),
        ("causes", _causes(report, said)),
        ("actions", _actions(report, said)),
        ("accepted-codes", _accepted(report, said)),
        ("verification", _verification(report, said)),
        ("slow", _slow(report, said)),
        ("follow-ups", _follow_ups(report, said, language)),
        ("warnings", iter([Bullets(report.warnings)] if report.warnings else [])),
    ]
    made = ((said[key], tuple(blocks)) for key, blocks in sections)
    return Page(
        language=language, title=said["title"].format(what=what, target=target or "?"), state=state, label=said[label],
        lead=said[f"lead-{label}"].format(
            environment=report.environment, target=target or "?", but=report.but, run=report.undoes
        )
        + (f" {said['lead-unproven'].format(names=', '.join(report.unproven))}" if report.unproven else "")
        + (f" {said['lead-closed']}" if report.traffic == "closed" else ""),
        head=Fields(tuple(_summary(report, said))),
        sections=tuple(Section(title, blocks) for title, blocks in made if blocks),
    )  # fmt: skip


def _summary(report: Report, said: Words) -> Iterator[tuple[str, Inline]]:
    yield said["run"], (Code(report.run), f"({said['exit'].format(code=report.exit_code)})")
    if report.incident:
        yield said["incident"], Code(report.incident)
    yield said["why"], report.reason or said["no-reason"]
    origin = Link(report.origin) if is_http(report.origin) else report.origin or f"({said['unknown']})"
    yield said["who"], (report.by or f"({said['unknown']})", said["from-place"], origin)
    if approved := report.approved:
        by = said["by"].format(who=approved.by or "-", how=approved.how)
        yield said["approved"], (by, Code(approved.hash[:12]))
    else:
        yield said["approved"], said["not-approved"]
    for key, ref in (("from", report.from_release), ("to", report.to_release)):
        if ref:
            commit = (Code(ref.commit[:12]),) if ref.commit else ()
            chosen = (f"({ref.chosen_by})",) if ref.chosen_by else ()
            yield said[key], (ref.release, *commit, *chosen)
    if (of := report.repository) and of.root:
        yield said["repository"], (Code(of.root), of.url)
    if where := report.cluster:
        uid = f"({where.namespace_uid})" if where.namespace_uid else ""
        yield said["cluster"], f"{where.context} {where.server}, {said['namespace']} {report.namespace} {uid}"
    by = f" ({', '.join(report.closed_by)})" if report.closed_by else ""
    yield said["traffic"], said.get("unknown-traffic" if report.traffic == UNKNOWN else report.traffic, "") + by
    for key, took in (("detect", report.took.detect), ("decide", report.took.decide)):
        yield said[f"time-to-{key}"], _took(took) or said["unknown"]
    yield said["time-to-restore"], _took(report.took.restore) or said["not-restored-time"]
    if report.error:
        yield said["failed-in"], (Code(report.failed_in), report.error)


def _took(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return " ".join(f"{n} {unit}" for n, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if n or unit == "s")


def _impact(report: Report, said: Words) -> Iterator[Block]:
    times = report.times
    yield Fields(
        (
            (said["affected"], ", ".join(report.affected) or said["unknown"]),
            (said["first-evidence"], _moment(times.first_evidence) or said["unknown"]),
            (said["healthy-at"], _moment(times.healthy) or said["not-restored-time"]),
            (said["traffic-closed-at"], _moment(times.traffic_closed) or said["never-closed"]),
            *(((said["traffic-opened-at"], _moment(times.traffic_opened)),) if times.traffic_opened else ()),
            (said["users"], said["fill"]),
        )
    )


def _timeline(report: Report, said: Words, language: str) -> Iterator[Block]:
    rows = [
        (
            _moment(m.at, ""), _clock(m.local),
            said[f"at-{m.what}"].format(stage=m.stage, text=change_in(language, m.change, m.subject, m.to, m.text)),
        )
        for m in report.timeline
    ]  # fmt: skip
    yield Table((said["utc"], said["local"], said["what"]), tuple(rows))


def _moment(at: str, zone: str = " UTC") -> str:
    """A time as people read it; what is none stays as it is."""
    utc = in_utc(at)
    return f"{utc[:10]} {utc[11:19]}{zone}" if len(utc) == 20 else utc


def _clock(local: str) -> str:
    """The time of day and its offset: the date stands beside it."""
    return f"{local[11:19]} {local[19:]}" if len(local) > 19 else local


def _evidence(report: Report, said: Words) -> Iterator[Block]:
    if report.verdict:
        yield Text((f"{said['verdict']}: {said.get(report.verdict, report.verdict)}.", *report.reasons))
    if report.findings:
        head = ("service", "severity", "since", "source", "what")
        yield Table(
            tuple(said[key] for key in head),
            tuple(
                (
                    f.service or "-", said.get(f.severity, f.severity), _moment(f.since) or "-", f.source,
                    (f.text, *((Link(f.link),) if f.link else ())),
                )
                for f in report.findings
            ),
        )  # fmt: skip
    elif not report.evidence:
        yield Text(said["no-evidence"])
    if report.evidence:
        yield Bullets(tuple(Code(name) for name in report.evidence), said["saved"])
    if report.not_saved:
        yield Bullets(report.not_saved, said["not-saved"])


def _causes(report: Report, said: Words) -> Iterator[Block]:
    causes = [f"{f.service or f.source}: {f.cause or f.text}" for f in report.findings if f.severity == "broken"]
    suggestions = list(dict.fromkeys(causes))[:_SUGGESTIONS]
    yield Text(said["people-decide"] if suggestions else said["suggests-nothing"])
    if suggestions:
        yield Bullets(tuple(suggestions))
    questions = ("contributing", "detected-how", "went-well", "prevent")
    yield Fields(tuple((said[key], said["fill"]) for key in questions))


def _actions(report: Report, said: Words) -> Iterator[Block]:
    changed = [o for o in report.objects if o.change not in (LEFT, "none")]
    if report.wrote and changed:
        rows = tuple((o.service, str(o.ref), _change(o, said)) for o in changed)
        yield Table((said["service"], said["object"], said["change"]), rows)
        if images := tuple(row for o in changed for row in _images(o)):
            yield Table(tuple(said[key] for key in ("container", "from", "to", "known-by")), images)
    elif not report.changed:
        yield Text(said["nothing-changed"])
    lists: tuple[tuple[str, tuple[Inline, ...]], ...] = (
        ("unclear-changes", report.unclear),
        ("tags", tuple((Code(t.reference), f"{t.from_} → {t.to}", *(() if t.done else (f"({said['not-done']})",)))
                       for t in report.tags)),
        ("kept", tuple(f"{o.ref}: {', '.join(o.kept)}" for o in report.objects if o.kept)),
        ("left", tuple(f"{o.ref}: {o.why}" for o in report.objects if o.change == LEFT)),
        ("leftovers", report.leftovers),
        ("orphans", report.orphans),
    )  # fmt: skip
    yield from (Bullets(items, said[key]) for key, items in lists if items)


def _change(changed: ChangedObject, said: Words) -> str:
    was, then = changed.replicas or (None, None)
    what = changed.change + (f", {said['replicas'].format(was=was, then=then)}" if changed.replicas else "")
    return what if changed.done else f"{what} ({said['not-done']})"


def _images(changed: ChangedObject) -> Iterator[tuple[Inline, ...]]:
    for c in changed.containers:
        before: Inline = (Code(c.from_), *((Code(c.from_digest),) if c.from_digest else ()))
        yield f"{changed.name}/{c.name}", before, Code(c.to), c.rung


def _accepted(report: Report, said: Words) -> Iterator[Block]:
    who = (report.approved.by if report.approved else "") or report.by
    if report.accepted:
        yield Bullets(tuple(Code(code) for code in report.accepted), said["accepted-by"].format(who=who))
    else:
        yield Text(said["nothing-accepted"])


def _verification(report: Report, said: Words) -> Iterator[Block]:
    found = report.verification
    if found is None:
        yield Text(said["never-verified"])
        return
    yield Text(said["verified" if found.healthy else "not-verified"].format(at=_moment(found.at)))
    head = ("object", "state", "ready", "digests", "what")
    yield Table(
        tuple(said[key] for key in head),
        tuple(
            (
                str(w.ref), said.get(w.health, w.health), f"{w.ready}/{w.desired}",
                tuple(Code(d[:19]) for d in w.digests), w.message,
            )
            for w in found.workloads
        ),
    )  # fmt: skip
    checks = [f"{c.service} {c.kind} {c.name}: {said['good' if c.good else 'bad']}. {c.text}" for c in found.checks]
    for lines in (checks, found.smoke, found.problems):
        if lines:
            yield Bullets(tuple(lines))
    for w in found.workloads:
        if w.logs:
            yield Log(f"{said['log-of']}: {w.ref}", w.logs)


def _slow(report: Report, said: Words) -> Iterator[Block]:
    if not report.stages:
        return
    slowest = sorted(report.stages, key=lambda s: -s.seconds)[:_SLOWEST]
    yield Table((said["stage"], said["seconds"]), tuple((s.stage, f"{s.seconds:.1f}") for s in slowest if s.seconds))
    yield Text(said["all-stages"].format(seconds=f"{sum(s.seconds for s in report.stages):.1f}"))


def _follow_ups(report: Report, said: Words, language: str) -> Iterator[Block]:
    rows = tuple((follow_up(f.code, dict(f.values), f.text, language), "", "") for f in report.follow_ups)
    yield Table((said["what"], said["owner"], said["due"]), rows)
