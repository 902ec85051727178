"""The run directory: `RunStore` on files. Written whole or not at all; the journal is fsynced line by line."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from rollback_lib.core.errors import BugError, Refusal, RefusedError, UsageError
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.plan.retag import TagMoves
from rollback_lib.core.record import Record
from rollback_lib.core.releases.live import Live
from rollback_lib.core.report.observation import Looked
from rollback_lib.core.run import records
from rollback_lib.core.run.journal import Event, Mark
from rollback_lib.ports import R

# file, and the stage that makes it
FILES: Final[dict[type[Record], tuple[str, str]]] = {
    records.Request: ("run.json", "resolve"),
    records.Detection: ("steps/detect.json", "detect"),
    records.Incident: ("steps/incident.json", "incident"),
    records.Resolution: ("steps/resolve.json", "resolve"),
    Live: ("steps/live.json", "resolve"),
    records.Images: ("steps/images.json", "images"),
    records.Rewritten: ("steps/rewrite.json", "rewrite"),
    Plan: ("plan.json", "preflight"),
    records.Approval: ("steps/approve.json", "approve"),
    records.Verification: ("steps/verify.json", "verify"),
    Looked: ("steps/looked.json", "preflight"),
    TagMoves: ("tags.json", "retag"),
}
JOURNAL: Final = "journal.jsonl"
_FINISHES: Final = ("run.json", "plan.json", "steps/*.json", "manifests/**/*", "before/*")
_JOURNAL_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)


class RunDirectory:
    """One run on disk. Safe to append to from several threads of one process."""

    def __init__(self, root: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.root = root
        self._now = now
        self._lock = threading.Lock()
        # what this process has seen of it: where the directory is taken away, what was done is known all the same
        self._seen: tuple[Event, ...] = ()
        self._known: dict[str, bytes] = {}
        with self._kept():
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (root.parent, root.parent.parent):
            ignore = folder / ".gitignore"
            if folder.name == ".rollback" and not ignore.exists():
                with contextlib.suppress(OSError):
                    ignore.write_text("*\n", encoding="utf-8")

    @property
    def place(self) -> str:
        return str(self.root)

    def _path(self, name: str) -> Path:
        parts = name.split("/")
        if any(p in ("", ".", "..") for p in parts) or "\\" in name or ":" in parts[0]:
            raise BugError(f"not a name within a run directory: {name!r}")
        return self.root.joinpath(*parts)

    def find(self, kind: type[R]) -> R | None:
        name = FILES[kind][0]
        try:
            data = self._known[name] = self._path(name).read_bytes()
        except FileNotFoundError:
            if not self._is_gone() or name not in self._known:
                return None
            data = self._known[name]
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise UsageError(f"{self.root / name} does not read: {error}") from None

    def get(self, kind: type[R]) -> R:
        found = self.find(kind)
        if found is None:
            name, stage = FILES[kind]
            raise UsageError(f"{self.root} has no {name}: run `rollback stage {stage}` first")
        return found

    def put(self, record: Record) -> None:
        data = msgspec.json.format(msgspec.json.encode(record), indent=2)
        self.write(FILES[type(record)][0], data + b"\n")
        self._known[FILES[type(record)][0]] = data

    def write(self, name: str, data: bytes) -> None:
        path = self._path(name)
        aside = path.with_name(path.name + ".tmp")
        with self._kept():
            self._still_there()
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """What is written here is what a run rests on: where it cannot be (a full disk), the run stops."""
        try:
            yield
        except OSError as error:
            raise RefusedError(
                Refusal(
                    f"the run directory {self.root} cannot be written: {(error.strerror or str(error)).lower()}.",
                    fix="Make room for it; running it again goes on from here.",
                )
            ) from error

    def _is_gone(self) -> bool:
        """Whether somebody has taken it away under this process, or is about to."""
        known = (*((JOURNAL,) if self._seen else ()), *(n for n in ("run.json",) if n in self._known))
        return not all((self.root / name).exists() for name in known)

    def _still_there(self) -> None:
        """Nothing begins anew in the place of what was taken away. Raises RefusedError."""
        if self._is_gone():
            raise RefusedError(
                Refusal(
                    f"the run directory {self.root} was taken away while the run was at work.",
                    fix=f"Its copy in the cluster has what is needed: `rollback resume {self.get(records.Request).run}`"
                    f" goes on from it.",
                )
            )

    def read(self, name: str) -> bytes:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            self._still_there()
            raise

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def files(self) -> Sequence[str]:
        self._still_there()
        found = [p for folder in _FINISHES for p in self.root.glob(folder) if p.is_file()]
        names = sorted(p.relative_to(self.root).as_posix() for p in found)
        journal = (JOURNAL,) if self._path(JOURNAL).exists() else ()
        return (*(n for n in names if not n.endswith((".tmp", ".request.json"))), *journal)

    def append(self, mark: Mark, stage: str, **fields: Any) -> Event:
        with self._lock:
            at = self._now().isoformat(timespec="milliseconds")
            event = Event(seq=len(self.events()), at=at, mark=mark, stage=stage, **fields)
            if self._is_gone() and mark in (Mark.DONE, Mark.NOT_DONE, Mark.SEEN, Mark.STAGE_FAILED):
                self._seen = (*self._seen, event)  # it has happened, wherever it can be written
            self._still_there()
            self._append(msgspec.json.encode(event) + b"\n")
            self._seen = (*self._seen, event)
            return event

    def _append(self, line: bytes) -> None:
        with self._kept():
            descriptor = os.open(self.root / JOURNAL, _JOURNAL_FLAGS, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                whole = _whole_lines(file.read())
                file.truncate(len(whole))  # else this line would be glued to the one that a crash tore
                file.seek(len(whole))
                file.write(line)
                file.flush()
                os.fsync(file.fileno())

    def events(self) -> Sequence[Event]:
        if self._is_gone():
            return self._seen
        try:
            data = (self.root / JOURNAL).read_bytes()
        except FileNotFoundError:
            return ()
        try:
            found = tuple(msgspec.json.decode(line, type=Event) for line in _whole_lines(data).split(b"\n") if line)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise UsageError(f"{self.root / JOURNAL} does not read: {error}") from None
        if len(found) > len(self._seen):
            self._seen = found
        return found


def _whole_lines(data: bytes) -> bytes:
    """The journal without what follows its last newline: a line that a crash tore, so nothing was done after it."""
    return data[: data.rfind(b"\n") + 1]
