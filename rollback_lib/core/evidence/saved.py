"""What of a cluster is kept as evidence: everything that explains, nothing that could be a secret.

Values of variables and of ConfigMaps are left out, whatever their names, and arguments and annotations that are not
plainly harmless: what stands there is exact in ``before/``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core.evidence.findings import plain
from rollback_lib.core.harmless import harmless_arguments, is_harmless
from rollback_lib.core.health.pods.events import LONG_AGO, TIMES
from rollback_lib.core.health.pods.reading import text, when
from rollback_lib.core.kube.objects import LAST_APPLIED, Object
from rollback_lib.core.kube.snapshot import Events, LogEnd
from rollback_lib.core.redact import redact

LONGEST_LOG: Final = 64 << 10  # characters of one log
LONGEST_OBJECT: Final = 64 << 10
MOST_EVENTS: Final = 300
_LINE: Final = 4000
_CUT: Final = "[not all of it: the end of a longer log]\n"
_NOISE: Final = ("managedFields", "resourceVersion", "selfLink")


def file_name(*parts: str) -> str:
    """A name for a file of evidence, of what the cluster calls it."""
    return ".".join(re.sub(r"[^A-Za-z0-9_-]", "_", part)[:80] for part in parts if part)


def log_text(log: LogEnd) -> LogEnd:
    """The end of a log, line by line without what looks like a credential, and without escape codes.

    Its first line says so where it is not all of the log.
    """
    lines = log.text.split("\n")
    shown = redact("\n".join(x if len(x) <= _LINE else f"{x[:_LINE]}… [{len(x)} characters]" for x in lines))
    cut = log.cut or len(shown) > LONGEST_LOG
    return LogEnd((_CUT + shown[-LONGEST_LOG + len(_CUT) :]) if cut else shown, cut)


def event_text(events: Events) -> tuple[str, str]:
    """(events, oldest first, one a line; what is lacking). Warnings are kept before others, then the newest."""
    lines = []
    for event in events.all:
        target = event.get("involvedObject") or event.get("regarding") or {}
        at = next((t for path in TIMES if (t := when(event, *path))), LONG_AGO)
        said = text(event, "message") or text(event, "note")
        what = f"{text(event, 'type')} {text(event, 'reason')} {text(target, 'kind')}/{text(target, 'name')}: {said}"
        lines.append((text(event, "type") == "Warning", at, plain(what, 1000)))
    kept = sorted(lines)[-MOST_EVENTS:]
    few = f"{len(kept)} of {len(lines)} are kept, warnings first, then the newest" if len(kept) < len(lines) else ""
    lacking = "; ".join(why for why in (events.lacking, few) if why)
    shown = sorted((at, line) for _, at, line in kept)
    first = f"[{lacking}]\n" if lacking else ""
    return first + "".join(f"{at.isoformat(timespec='seconds')} {line}\n" for at, line in shown), lacking


def object_text(obj: Object) -> str:
    """An object as JSON, without values that may be secret and without bookkeeping."""
    shown = msgspec.json.format(msgspec.json.encode(_shown(obj)), indent=2).decode()
    return redact(shown)[:LONGEST_OBJECT] + "\n"


def _shown(obj: Object) -> Any:
    kept: dict[str, Any] = {k: v for k, v in obj.items() if k not in ("data", "binaryData", "stringData")}
    metadata = {k: v for k, v in (obj.get("metadata") or {}).items() if k not in _NOISE}
    notes = metadata.get("annotations")
    if isinstance(notes, Mapping):
        metadata["annotations"] = {k: v for k, v in notes.items() if k != LAST_APPLIED}
    kept["metadata"] = metadata
    for field in ("data", "binaryData", "stringData"):
        if isinstance(values := obj.get(field), Mapping):
            kept[field] = {k: _length(v) for k, v in values.items()}
    return _without_values(kept)


def _without_values(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        if key == "annotations":
            return {k: v if is_harmless(str(v), k) else _length(v) for k, v in value.items()}
        return {k: _without_values(v, k) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        if key == "env":
            return [{k: _length(v) if k == "value" else v for k, v in e.items()} if isinstance(e, Mapping) else e
                    for e in value]  # fmt: skip
        if key in ("args", "command"):
            fine = harmless_arguments(value)
            return [v if is_fine else _length(v) for v, is_fine in zip(value, fine, strict=True)]
        return [_without_values(v) for v in value]
    return redact(value) if isinstance(value, str) else value


def _length(value: Any) -> str:
    return f"[{len(str(value))} characters]"
