"""kubectl: the hand that writes. Arguments come from pure functions; one object a call, so each answer is its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from rollback_lib.adapters import addresses, calls, process
from rollback_lib.adapters.bounded import LargerError, Stopped, again, never
from rollback_lib.core.errors import FailedError, InterruptedRunError, RefusedError, StaleError, UnreachableError
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.objects import Object, fingerprint, is_leaving
from rollback_lib.core.kube.server_answers import told
from rollback_lib.core.run.changes import (
    WRITE_LIMIT,
    Change,
    CreateObject,
    DeleteObject,
    PatchObject,
    compact,
    giving_back,
    last_line,
    patch_file,
    worth_another_try,
)
from rollback_lib.ports import RunStore

FIELD_MANAGER: Final = "kubectl-client-side-apply"
REQUEST_TIMEOUT: Final = 30  # seconds, for one request
VERSION_ARGUMENTS: Final = ("version", "--client", "--output=json")
# A user's ~/.kube/kuberc may give any command other flags, such as a dry run or another identity.
NO_PREFERENCES: Final = {"KUBECTL_KUBERC": "false", "KUBERC": "off"}
# Between tries to say whose the fields are: the status of what has just changed is written all the time.
_SETTLING: Final = (0.0, 0.0, 0.2, 0.4, 0.8, 1.6)
# What a kubectl had sent that ended without the server's answer may arrive later; after 3 seconds was seen.
_LATE: Final = 8.0
_LOOK: Final = 0.5
_PAUSES: Final = (0.5, 1.0, 2.0)  # between tries where the server was busy and, read back, has taken nothing


class _NoAnswer(NamedTuple):
    """What kubectl said where it gave no object."""

    said: str
    killed: bool = False  # by a signal, before it could say anything
    late: bool = False  # the server's answer was not waited for: what was asked may still be on its way


class Reader(Protocol):
    """What this needs to read an object back, and to delete with a precondition."""

    def get(self, ref: ObjectRef) -> Object | None: ...

    def delete(self, ref: ObjectRef, uid: str, *, policy: str = "Background") -> None: ...


def resource(kind: str, api_version: str) -> str:
    """The resource as kubectl takes it without doubt: ``deployments.v1.apps``."""
    group, _, version = api_version.rpartition("/")
    return f"{KINDS[kind].plural}.{version}.{group}" if group else KINDS[kind].plural


def patch_arguments(kind: str, api_version: str, name: str, file: str, *, owners: bool = False) -> tuple[str, ...]:
    """``kubectl patch`` of one object by a JSON patch in a file. ``owners``: the answer says who owns which field."""
    return (
        "patch", resource(kind, api_version), "--type=json", f"--patch-file={file}", f"--field-manager={FIELD_MANAGER}",
        "--output=json", *(("--show-managed-fields",) if owners else ()), "--", name,
    )  # fmt: skip


def create_arguments(file: str) -> tuple[str, ...]:
    """``kubectl create`` of one object, with the annotation that a later ``kubectl apply`` expects."""
    return ("create", f"--filename={file}", "--save-config", f"--field-manager={FIELD_MANAGER}", "--output=json")


def create_as_is_arguments(kind: str, api_version: str, namespace: str, file: str) -> tuple[str, ...]:
    """``kubectl create`` of one object to the letter: without ``--raw`` it writes that annotation anew, from the whole
    object, so that the next ``kubectl apply`` would take away what others have set."""
    path = addresses.of_kind(api_version, KINDS[kind].plural, namespace)
    return ("create", f"--filename={file}", f"--raw={path}?fieldManager={FIELD_MANAGER}")


def _owned(change: PatchObject) -> bool:
    return bool(change.appliers.entries) or change.before == change.after


class Kubectl:
    """`Acts` by kubectl, with what it did read back where it did not end well."""

    def __init__(
        self, program: str, access: Callable[[], Sequence[str]], namespace: str, environ: Mapping[str, str],
        reader: Reader, sleep: Callable[[float], None] = time.sleep, killed: Callable[[str], None] = lambda why: None,
        stopped: Stopped = never,
    ) -> None:  # fmt: skip
        """``access``: the arguments that lead it to the cluster that ``reader`` reads. ``killed`` is told when a signal
        ends kubectl: an abort ends it before us, and nothing else may begin. ``stopped`` ends what only
        looks."""
        self._program, self._access = program, access
        self._environ, self._namespace = environ, namespace
        self._reader = reader
        self._sleep, self._killed, self._stopped = sleep, killed, stopped

    def problem(self) -> str:
        """Why nothing could be written at all; empty where it could."""
        return "" if self._program else "kubectl is not on the PATH. Install it; every write goes through it."

    def version(self) -> str:
        """kubectl's own version; the cluster is not asked. Raises RefusedError where it does not run."""
        if problem := self.problem():
            raise RefusedError(problem)
        try:
            done = process.run(
                (self._program, *VERSION_ARGUMENTS), self._environ, timeout=REQUEST_TIMEOUT, through="kubectl",
                stopped=self._stopped,
            )  # fmt: skip
            found = json.loads(done.out) if done.code == 0 else {}
            version = str(found["clientVersion"]["gitVersion"])
        except subprocess.TimeoutExpired:
            raise RefusedError(f"kubectl did not tell its version within {REQUEST_TIMEOUT} s.") from None
        except OSError as error:
            raise RefusedError(f"kubectl could not be started: {error.strerror}. Install kubectl.") from None
        except LargerError:
            raise RefusedError(f"{self._program} does not tell its version. Is it kubectl?") from None
        except (ValueError, KeyError, TypeError):
            said = last_line(told(done.err)) or f"it ended with {done.code}"
            raise RefusedError(f"{self._program} does not tell its version: {said}. Is it kubectl?") from None
        return version

    def act(self, change: Change, scratch: RunStore) -> Object | None:
        """Make the change.

        Raises StaleError where the object is no longer the one that the change is for, RefusedError where the server
        refused and the object, read back, is as before; FailedError where it is neither.
        """
        if isinstance(change, PatchObject):
            return self._given_back(change, self._with_file(change, patch_file(change.operations), scratch), scratch)
        if isinstance(change, CreateObject):
            return self._given_back(change, self._with_file(change, compact(change.manifest), scratch), scratch)
        if isinstance(change, DeleteObject):
            self._delete(change)
            return None
        raise TypeError(type(change))

    def _given_back(self, change: PatchObject | CreateObject, now: Object | None, scratch: RunStore) -> Object | None:
        """The object, once what was written is owned by who applies it, or nothing more can be done about that."""
        for pause in _SETTLING:
            fold = giving_back(change, now) if now is not None else None
            if fold is None:
                break
            self._sleep(pause)
            try:
                now = self._with_file(fold, patch_file(fold.operations), scratch)
            except (UnreachableError, InterruptedRunError):
                raise
            except (RefusedError, FailedError, StaleError):  # somebody else writes it, or holds it: the change stands
                break
        return now

    def _delete(self, change: DeleteObject) -> None:
        now = self._reader.get(change.ref)
        if now is None or now["metadata"].get("uid") != change.uid:
            return  # gone already, or another object of this name: nothing of ours to delete
        if change.before and fingerprint(now) != change.before:
            raise StaleError(f"{change.ref} has changed since the plan was made; it is not deleted.")
        try:
            policy = "Orphan" if change.keep_pods else "Foreground" if change.pods_first else "Background"
            self._reader.delete(change.ref, change.uid, policy=policy)
        except RefusedError as error:
            now = self._now(change, str(error))
            there = now["metadata"] if now else {}
            if there.get("uid") == change.uid and "deletionTimestamp" not in there:
                raise

    def _with_file(self, change: PatchObject | CreateObject, data: bytes, scratch: RunStore) -> Object | None:
        name = "before/" + change.key.replace("/", "-") + ".request.json"
        scratch.write(name, data)
        file = str(Path(scratch.place) / name)
        try:
            arguments = (
                patch_arguments(change.kind, change.api_version, change.name, file, owners=_owned(change))
                if isinstance(change, PatchObject)
                else create_as_is_arguments(change.kind, change.api_version, self._namespace, file)
                if change.recorded
                else create_arguments(file)
            )
            found = again(
                lambda: self._try(change, arguments),
                lambda found, pause: pause if isinstance(found, RefusedError) else None,
                _PAUSES, self._sleep,
            )  # fmt: skip
            if isinstance(found, RefusedError):
                raise found
            return found
        finally:
            scratch.remove(name)

    def _try(self, change: PatchObject | CreateObject, arguments: Sequence[str]) -> Object | RefusedError | None:
        """One write; where nothing was changed and another try may help, the error that it would be."""
        answer = self._ask(arguments)
        if not isinstance(answer, _NoAnswer):
            return answer
        for left in range(round(_LATE / _LOOK) if answer.late else 0, -1, -1):
            try:
                return self._read_back(change, answer.said)
            except UnreachableError:
                raise
            except RefusedError as error:  # nothing was changed so far
                refused = error
            if left:
                self._sleep(_LOOK)
        if answer.killed:
            raise InterruptedRunError(f"Interrupted: {refused}") from None
        if not worth_another_try(answer.said):
            raise refused
        return refused

    def _ask(self, arguments: Sequence[str]) -> Object | _NoAnswer:
        """The object that kubectl answers, or what it said where it gave none."""
        start = (self._program, *self._access(), f"--namespace={self._namespace}",
                 f"--request-timeout={REQUEST_TIMEOUT}s")  # fmt: skip
        try:
            done = process.run(
                (*start, *arguments), self._environ, timeout=WRITE_LIMIT, more=NO_PREFERENCES, through="kubectl"
            )
        except subprocess.TimeoutExpired:
            return _NoAnswer(f"kubectl did not answer within {WRITE_LIMIT:.0f} s", late=True)
        except LargerError:
            return _NoAnswer("kubectl said more than any object has")
        except OSError as error:
            raise RefusedError(f"kubectl could not be started: {error.strerror}. Install kubectl.") from None
        if done.code:
            calls.said("kubectl", done.err)
        if done.code < 0:
            said = f"kubectl was ended by signal {-done.code}"
            self._killed(said)
            return _NoAnswer(said, killed=True, late=True)
        if done.code != 0:
            return _NoAnswer(last_line(told(done.err)) or f"kubectl ended with {done.code}")
        with contextlib.suppress(ValueError):
            found: Any = json.loads(done.out)
            if isinstance(found, dict):
                return found
        return _NoAnswer("kubectl said yes, and its answer does not read")

    def _read_back(self, change: Change, said: str) -> Object | None:
        """What is true after kubectl did not say yes: before, after, or something else."""
        now = self._now(change, said)
        is_now = fingerprint(now)
        if now is not None and is_leaving(now) and type(change) is PatchObject:  # of traffic, what is told decides
            raise StaleError(f"{change.ref} was deleted since the plan was made, and is on its way out.")
        if is_now == change.after:
            return now
        if is_now == change.before:
            not_done = "created" if isinstance(change, CreateObject) else "changed"
            raise RefusedError(f"{change.ref} was not {not_done}: {said}")
        raise StaleError(
            f"{change.ref} was changed by someone else since the plan was made; it is left as it is. Plan again."
        )

    def _now(self, change: Change, said: str) -> Object | None:
        try:
            return self._reader.get(change.ref)
        except Exception as error:
            unknown = UnreachableError if isinstance(error, UnreachableError) else FailedError
            raise unknown(
                f"{change.ref}: {said}; and it could not be read back ({error}), so whether it was "
                f"changed is not known."
            ) from error
