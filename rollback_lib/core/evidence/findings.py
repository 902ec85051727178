"""Findings: texts from outside made harmless, and what several of them say together.

Logs, events, alerts and reports are written by others: escape codes go, what looks like a credential is hidden, a line
of ten megabytes becomes a line of a few hundred characters. Who shows a finding in Markdown or HTML escapes it there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.reasons import Reason
from rollback_lib.core.redact import redact
from rollback_lib.core.run.records import Detection, Finding, Measure, Request

Severity = Literal["broken", "suspect", "note"]
LONGEST: Final = 400  # characters of one finding's text
MOST: Final = 60  # findings that are kept; the rest is counted
_RAW: Final = 4000  # what of a line is looked at: redaction must not cost the length of what was sent
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_ORDER: Final = {"broken": 0, "suspect": 1, "note": 2}
_LINK: Final = re.compile(r"https?://[^\s<>\"'`|\\]{1,400}")


def plain(text: str, longest: int = LONGEST) -> str:
    """One line without escape codes and credentials, shortened with ``…``."""
    whole = redact(_ESCAPES.sub("", text[:_RAW].encode(errors="replace").decode()))  # some secrets end with their line
    said = redact(" ".join(whole.split()))
    return said if len(said) <= longest else said[: longest - 1] + "…"


def finding(
    severity: Severity, source: str, text: str, *, service: str = "", since: datetime | str | None = None,
    cause: str = "", link: str = "",
) -> Finding:  # fmt: skip
    """A finding whose texts are safe to keep and to show. A ``link`` that is no http address is left out."""
    address = redact(link) if _LINK.fullmatch(link) else ""
    return Finding(
        severity=severity, source=source, text=plain(text), service=plain(service, 80), since=stamp(since),
        cause=re.sub(r"[^A-Za-z0-9_.:-]", "", cause)[:60], link=address if _LINK.fullmatch(address) else "",
    )  # fmt: skip


def stamp(when: datetime | str | None) -> str:
    """A time as findings have it, RFC 3339 in UTC with whole seconds; empty where it is none."""
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when[:40].replace("Z", "+00:00"))
        except ValueError:
            return ""
    if when is None:
        return ""
    try:
        known = when if when.tzinfo else when.replace(tzinfo=UTC)
        return known.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError):
        return ""


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, of these the oldest; each once, and no more than ``MOST``."""
    unique = tuple(dict.fromkeys(findings))
    found = sorted(unique, key=lambda f: (_ORDER[f.severity], f.since or "9", f.service, f.source))
    if len(found) <= MOST:
        return tuple(found)
    return (*found[:MOST], finding("note", "detect", f"and {len(found) - MOST} more findings"))


def judge(
    findings: Iterable[Finding],
    *,
    at: datetime,
    seconds: float = 0.0,
    health_known: bool = True,
    measures: tuple[Measure, ...] = (),
) -> Detection:
    """The verdict. ``health_known``: whether the workloads answered; without that nothing is called healthy."""
    found = ordered(findings)
    verdict, reasons = _verdict(found, health_known)
    times = [f.since for f in found if f.since and f.severity != "note"]
    return Detection(
        verdict=verdict, reasons=reasons, findings=found, measures=measures, since=min(times, default=""),
        at=stamp(at), seconds=round(seconds, 3),
    )  # fmt: skip


def of_services(detection: Detection, services: Collection[str]) -> Detection:
    """The verdict for these services only. Findings that name none count: they speak of the whole application."""
    kept = [f for f in detection.findings if not f.service or f.service in services]
    known = detection.verdict == "healthy" or any(f.severity != "note" for f in detection.findings)
    verdict, reasons = _verdict(kept, known)
    return msgspec.structs.replace(detection, verdict=verdict, reasons=reasons)


def _verdict(
    found: Sequence[Finding], health_known: bool
) -> tuple[Literal["broken", "suspect", "healthy"], tuple[str, ...]]:
    for severity in ("broken", "suspect"):
        if reasons := tuple(dict.fromkeys(sentence(f) for f in found if f.severity == severity)):
            return ("broken" if severity == "broken" else "suspect"), reasons
    if not health_known:
        return "suspect", ("the workloads could not be asked, so nothing shows that they are healthy",)
    return "healthy", ("every workload is healthy and nothing else was found",)


def sentence(found: Finding) -> str:
    """A finding for people: whose, what, since when, and how that is known."""
    since = f" (since {found.since})" if found.since else ""
    whose = "" if not found.service or found.text.startswith(found.service) else f"{found.service}: "
    return f"{whose}{found.text}{since} [{found.source}]"


def against_automation(detection: Detection) -> str:
    """Why nobody but a person may roll this back; empty where a workload or a threshold proves that it is broken.

    What answers once with an error is no proof: (case C45) load balancers and data services of others do so too, and
    a healthy release was rolled back for it.
    """
    if detection.verdict == "broken":
        return ""
    seen = "only suspicions" if detection.verdict == "suspect" else "nothing"
    told = "" if detection.verdict == "healthy" else f": {detection.reasons[0]}"
    return f"{seen} against what runs now{told}. The policy alone does not roll back what is healthy."


def summary(detection: Detection, most: int = 4) -> list[str]:
    """The verdict and its first reasons, for the plan."""
    said = {"broken": "what runs now is broken", "suspect": "what runs now is suspect"}.get(detection.verdict)
    if said is None:
        return [f"nothing shows that what runs now is bad: {detection.reasons[0]}."]
    more = len(detection.reasons) - most
    return [*(f"{said}: {r}" for r in detection.reasons[:most]), *([f"and {more} more reasons"] if more > 0 else [])]


class Weighed(msgspec.Struct, frozen=True):
    """What was found about the services of a plan: to be said, warned of, and against a run that no person approves."""

    said: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()


def weighed(detection: Detection, request: Request, services: Collection[str], *, approved: bool) -> Weighed:
    """The evidence for `preflight`. ``approved``: a person has approved this plan elsewhere already."""
    about = of_services(detection, services)
    said = tuple(summary(about))
    warnings = said if about.verdict == "healthy" else ()
    why = against_automation(about)
    automatic = request.target_environment.approval == "auto" and not (request.yes or request.undo)
    if not why or not automatic or approved:
        return Weighed(said, warnings)
    if request.dry_run:
        return Weighed(said, (*warnings, f"a run that only the policy approves would be refused: {why}"))
    refusal = Refusal(
        why, code="healthy", fix="Let a person approve it (--yes).",
        reason=Reason.NOT_BROKEN, subject=request.application, facts=(about.verdict,),
    )  # fmt: skip
    return Weighed(said, warnings, (refusal,))
