"""Opens the incident and saves what is about to vanish. Only in a run; what cannot be saved is said and harmless.

The pipeline runs it behind `detect`, beside the stages that look, and waits for it before the first write.
"""

from __future__ import annotations

import time

from rollback_lib.collectors import evidence, threads, workloads
from rollback_lib.core.errors import RollbackError
from rollback_lib.core.evidence.findings import plain, stamp
from rollback_lib.core.evidence.saved import LONGEST_LOG, file_name, log_text
from rollback_lib.core.kube.snapshot import LogEnd
from rollback_lib.core.run.records import Incident, Request
from rollback_lib.ports import Ports, RunStore, Writer

ID = "incident"
WRITES = False
DEADLINE = 10.0  # seconds


def run(run: RunStore, ports: Ports, write: Writer) -> Incident | None:
    request = run.get(Request)
    if request.offline or request.dry_run:
        return None
    ends = time.monotonic() + DEADLINE
    saved: list[str] = []
    missing: list[str] = []

    def keep(name: str, data: bytes) -> None:
        if time.monotonic() < ends:  # what comes late is not written behind a run's back
            run.write(name, data)
            saved.append(name)

    def save() -> None:
        looked = workloads.look(ports, request.settings.services.ignore, request.services)
        missing.extend(evidence.save(looked, ports.evidence.cluster, keep, lambda: time.monotonic() < ends))

    for path in request.evidence:
        try:
            data = ports.evidence.files.given(path)
            name = path.replace("\\", "/").rpartition("/")[2]
            harmless, cut = _harmless(data)
            keep(f"evidence/given/{_plain_name(name)}", harmless)
            if cut:
                missing.append(plain(f"{path}: only its end is kept ({LONGEST_LOG >> 10} kB at most)"))
        except OSError as error:
            missing.append(plain(f"{path}: {error.strerror or error}"))
    try:
        threads.begin(save).result(DEADLINE)
    except TimeoutError:
        missing.append(f"the cluster did not answer within {DEADLINE:g} s")
    except RollbackError as error:
        missing.append(plain(str(error)))
    except Exception as error:  # evidence is worth much, and less than the rollback
        missing.append(plain(f"{type(error).__name__}: {error}"))
    return Incident(
        id=f"incident-{request.run}", opened=stamp(ports.clock.now()), evidence=tuple(sorted(saved)),
        missing=tuple(dict.fromkeys(missing)),
    )  # fmt: skip


def _plain_name(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return file_name(stem, ending) if dot else file_name(name)


def _harmless(data: bytes) -> tuple[bytes, bool]:
    """(the file, whether it was cut). Text is redacted, whatever its encoding. A picture is kept as it is: nobody can
    look for secrets in it."""
    if b"\0" in data:
        return data, False
    kept = log_text(LogEnd(data.decode(errors="replace")))
    return kept.text.encode(), kept.cut
