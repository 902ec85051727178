"""Why one container does not run: the named causes, init containers and sidecars as well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from rollback_lib.core.health.pods import events, pods, rounds
from rollback_lib.core.health.pods.reading import Json, number, part, parts, text
from rollback_lib.core.health.pods.report import Cause, Patience, View

# Said by registries through containerd, docker and CRI-O. A word of a passing trouble beats a word of a final one:
# "429 ... denied" is a rate limit.
_PASSING: Final = re.compile(
    r"too ?many ?requests|rate limit|\b429\b|\b50[0234]\b|dial tcp|i/o timeout|no such host|connection re(?:fused|set)"
    r"|deadline exceeded|tls handshake|server misbehaving|\beof\b",
    re.IGNORECASE,
)
_FINAL: Final = re.compile(
    r"not ?found|manifest unknown|name unknown|does not exist|repository .* not exist|no match for platform"
    r"|denied|unauthorized|authentication required|authorization failed|insufficient_scope|\b40[134]\b",
    re.IGNORECASE,
)
_CACHE: Final = re.compile(r"failed to sync \w+ cache|timed out waiting for the (?:condition|cache)", re.IGNORECASE)


def causes(view: View, pod: Json, patience: Patience) -> Iterator[Cause]:
    """``patience.seen`` knows this snapshot already (`rounds.look`)."""
    for init, role, spec, status in _containers(pod):
        found = _waiting(view, pod, role, spec, status) or _ended(pod, role, spec, status, patience, init=init)
        if found is not None:
            yield found


def _containers(pod: Json) -> Iterator[tuple[bool, str, Json, Json]]:
    """(whether it has to end before the others start, its role in words, its spec, its status)."""
    for specs, statuses in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
        known = {text(spec, "name"): spec for spec in parts(pod, "spec", specs)}
        for status in parts(pod, "status", statuses):
            spec = known.get(text(status, "name"), {})
            sidecar = text(spec, "restartPolicy") == "Always"
            init = specs != "containers" and not sidecar
            role = "init container" if init else "sidecar" if specs != "containers" else "container"
            yield init, role, spec, status


def _waiting(view: View, pod: Json, role: str, spec: Json, status: Json) -> Cause | None:
    reason, said = (text(status, "state", "waiting", key) for key in ("reason", "message"))
    said = events.flat(said)
    image = text(spec, "image") or text(status, "image")
    who = f"{role} {text(status, 'name')}"

    def cause(sentence: str, *, final: bool) -> Cause:
        return Cause(reason, sentence, pods.name_of(pod), text(status, "name"), final)

    match reason:
        case "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" | "ImageInspectError":
            told = [e.message for e in events.about(view.events, pod) if image and image in e.message]
            # Older kubelets say only "Back-off" here; the reason is in the event then.
            finals = (m for m in (said, *told) if _FINAL.search(_without(m, image)))
            why = said if _PASSING.search(_without(said, image)) else next(finals, said)
            heard = _without(why, image)
            final = bool(_FINAL.search(heard)) and not _PASSING.search(heard)
            advice = (
                "the registry does not have it or does not let us have it, check the name and the pull secret"
                if final
                else "the node tries again by itself, check that it reaches the registry"
            )
            return cause(f"{who} cannot pull {image} ({why or 'no reason given'}): {advice}", final=final)
        case "ErrImageNeverPull":
            return cause(f"{who}: {image} is not on the node and imagePullPolicy is Never: load it there", final=True)
        case "InvalidImageName":
            return cause(f"{who} has an image name that is none, {image!r}: correct it in the template", final=True)
        case "CreateContainerConfigError":
            advice = "create what is missing, or go back to a release that does not name it"
            return cause(f"{who} cannot be set up ({said}): {advice}", final=not _CACHE.search(said))
        case "CreateContainerError" | "RunContainerError" | "PostStartHookError":
            return cause(f"{who} cannot be started ({said}): see `{_describe(pod)}`", final=False)
    return None


def _ended(pod: Json, role: str, spec: Json, status: Json, patience: Patience, *, init: bool) -> Cause | None:
    """Crashes, also when it runs again for now: a container between two crashes looks well for a moment."""
    now_over, before = part(status, "state", "terminated"), part(status, "lastState", "terminated")
    backing_off = text(status, "state", "waiting", "reason") == "CrashLoopBackOff"
    if (
        not (now_over or before or backing_off)
        or status.get("ready") is True
        or (init and (now_over or before) and number(now_over or before, "exitCode") == 0)
    ):
        return None
    ended = now_over or before
    restarts = rounds.restarts_since(pod, status, patience.seen)
    runs = patience.seen.crashes.get(pods.key_of(pod, status), ())
    allowed = 1 if patience.quick_crash and rounds.repeats(runs) else max(1, patience.crash_restarts)
    line = rounds.last_line(text(ended, "message")) or (runs[-1].line if runs else "")

    down = backing_off or bool(now_over)
    final = down and restarts >= allowed
    name, what = "CrashLoopBackOff", f"exit code {number(ended, 'exitCode')}"
    advice = f"see `{_logs(pod, status)}`"
    if text(ended, "reason") == "OOMKilled":
        limit = text(spec, "resources", "limits", "memory")
        name, what = "OOMKilled", f"out of memory{f' at its limit of {limit}' if limit else ''}, {what}"
        advice = "raise its memory limit, or go back to a release that needs less"
    elif not backing_off and not final:
        name = "Crashed"
    if not ended:
        what = "exit code unknown"
    times = number(status, "restartCount") + (1 if backing_off or now_over else 0)
    again = {0: "once", 1: "once", 2: "twice"}.get(times, f"{times} times")
    sentence = f"{role} {text(status, 'name')} crashed {again}, {what}" + (f"; last line: {line}" if line else "")
    return Cause(name, f"{sentence}; {advice}", pods.name_of(pod), text(status, "name"), final)


def _without(message: str, image: str) -> str:
    """The message without the image's own name, in which a word may stand that looks like a reason."""
    return message.replace(image, "") if image else message


def _describe(pod: Json) -> str:
    return f"kubectl{_in_namespace(pod)} describe pod {pods.name_of(pod)}"


def _logs(pod: Json, status: Json) -> str:
    return f"kubectl{_in_namespace(pod)} logs {pods.name_of(pod)} -c {text(status, 'name')} --previous"


def _in_namespace(pod: Json) -> str:
    namespace = text(pod, "metadata", "namespace")
    return f" -n {namespace}" if namespace else ""
