"""What a rollback needs before anybody needs a rollback (the written plan's §3): the judgements and their text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from rollback_lib.core.errors import ForbiddenError, RefusedError, RollbackError, UsageError
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.snapshot import ClusterIdentity
from rollback_lib.core.readouts.init import ADVICE, guessed
from rollback_lib.core.redact import redact
from rollback_lib.core.report.notices import Lack
from rollback_lib.core.rights import role
from rollback_lib.core.rights.table import Need
from rollback_lib.core.settings.model import Settings
from rollback_lib.core.wording import WIDTH, counted, some, wrapped

_NAME: Final = 11  # columns of the longest name
_SKEW: Final = 1  # minor versions that kubectl and a server may differ by (Kubernetes' version skew policy)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One prerequisite. A ``warn`` would not stop a rollback, or could not be looked at; ``fix`` says what to do.

    ``code``: what kind of failure it is, where that matters to another check.
    """

    name: str
    state: Literal["ok", "warn", "FAIL"]
    text: str
    fix: str = ""
    code: str = ""


FORBIDDEN: Final = "forbidden"  # who was asked answers, and does not let us


def all_there(checks: Sequence[Check]) -> bool:
    """Whether nothing fails."""
    return not any(c.state == "FAIL" for c in checks)


def failed(name: str, error: Exception) -> Check:
    """The check that an error ended. Anything but our own errors is a bug, and still only one line."""
    if isinstance(error, RefusedError):
        first, *more = error.refusals
        code = FORBIDDEN if isinstance(error, ForbiddenError) else ""
        text = " ".join((first.text, *(r.text for r in more[:3]), f"(and {len(more) - 3} more)" if more[3:] else ""))
        return Check(name=name, state="FAIL", text=text.strip(), fix=first.fix, code=code)
    if isinstance(error, UsageError):
        return Check(name=name, state="FAIL", text="; ".join(str(p) for p in error.problems))
    if isinstance(error, RollbackError):
        return Check(name=name, state="FAIL", text=str(error))
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return Check(name=name, state="FAIL", text=f"could not be checked, by a bug of rollback: {said}")


def not_checked(name: str, why: str) -> Check:
    """A check that another one stands in the way of."""
    return Check(name=name, state="warn", text=f"not checked: {why}.")


def settings(file: str, found: Settings, environment: str) -> Check:
    """How the settings were found; an empty ``file``: inferred from the repository."""
    if file:
        return Check(name="settings", state="ok", text=f"{file}: {found.application}, environment {environment}.")
    return Check(
        name="settings", state="warn", text=f"no rollback.yaml; guessed: {guessed(found, environment)}.", fix=ADVICE
    )


def releases(pattern: str, names: Sequence[str], advice: str) -> Check:
    """Releases in git, newest first."""
    if not names:
        return Check(name="git tags", state="FAIL", text=f'no tag matches "{pattern}".', fix=advice)
    newest = ", ".join(names[:3])
    if len(names) == 1:
        fix = "Tag each release in git; with one there is nothing to go back to."
        return Check(name="git tags", state="warn", text=f'1 release matches "{pattern}": {newest}.', fix=fix)
    return Check(name="git tags", state="ok", text=f'{len(names)} releases match "{pattern}"; newest: {newest}.')


def registries(answers: Sequence[tuple[str, Answer]]) -> Iterator[Check]:
    """Whether each host answers; (host, answer) pairs."""
    for host in dict.fromkeys(host for host, _ in answers):
        mine = [a for h, a in answers if h == host]
        unknown = [a for a in mine if a.state == "unknown"]
        if not unknown:
            yield Check(name="registry", state="ok", text=f"{host} answers.")
        else:
            text = f"{host} does not tell about {len(unknown)} of {len(mine)} images: {unknown[0].text}."
            fix = "Check the network, the login (`docker login`) and images.registries in rollback.yaml."
            yield Check(name="registry", state="FAIL", text=text, fix=fix)


def images(release: str, found: Mapping[str, Sequence[Answer]], impossible: Mapping[str, str]) -> Check:
    """Whether each of the team's images has a name of its own at the release.

    ``found`` has, for each container, the answers to every name that would do; ``impossible`` says where none can be.
    """
    good = [place for place, answers in found.items() if any(a.state == "present" for a in answers)]
    missing = [p for p, answers in found.items() if p not in good and all(a.state == "absent" for a in answers)]
    missing += impossible
    doubtful = [p for p in found if p not in good and p not in missing]
    of = len(found) + len(impossible)
    if not of:
        fix = "Check images.repository in rollback.yaml."
        return Check(name="images", state="warn", text=f"{release} has no images of the team's own.", fix=fix)
    text = f"{release}: {len(good)} of {of} images are there, by release tag or as the manifest names them."
    if missing:
        text += f" Missing: {some(missing)}."
        fix = "Push every image under its release's tag too (images.release_tags): only that tells releases apart."
        if impossible:
            fix = f"{next(iter(impossible.values()))}. {fix}"
        return Check(name="images", state="FAIL", text=text, fix=fix)
    if doubtful:
        return Check(name="images", state="FAIL", text=f"{text} The registry does not tell about {some(doubtful)}.")
    return Check(name="images", state="ok", text=text)


def cluster(identity: ClusterIdentity, contexts: Sequence[str], named: bool) -> Check:
    """Which cluster it is, and whether that is said or left to the kubeconfig."""
    where = f"context {identity.context or '(the pod itself)'}, {identity.server}, namespace {identity.namespace}"
    text = f"{where} (uid {identity.namespace_uid})"
    if not named and len(contexts) > 1:
        fix = f"Set `context` in rollback.yaml; the kubeconfig has {some(contexts)}."
        return Check(name="cluster", state="warn", text=f"{text}, only by the kubeconfig's current context.", fix=fix)
    return Check(name="cluster", state="ok", text=f"{text}.")


def doubts(found: Sequence[str]) -> Iterator[Check]:
    """What makes it less than sure that it is this cluster which answers."""
    fix = "Put the cluster's certificate-authority in its place."
    yield from (Check(name="cluster", state="warn", text=text, fix=fix) for text in found)


def kubectl(client: str, server: str) -> Check:
    """kubectl's version beside the server's; an empty ``server`` could not be asked."""
    if not server:
        text = f"{client}; the server's version is not known."
        return Check(name="kubectl", state="ok" if _minor(client) else "warn", text=text)
    ours, theirs = _minor(client), _minor(server)
    if ours is None or theirs is None:
        return Check(name="kubectl", state="warn", text=f"{client}, and the server {server}: not versions we can read.")
    if ours[0] != theirs[0] or abs(ours[1] - theirs[1]) > _SKEW:
        text = f"{client} is more than {_SKEW} minor version away from the server, {server}."
        fix = f"Install a kubectl of {theirs[0]}.{theirs[1]}; Kubernetes supports one version up or down."
        return Check(name="kubectl", state="warn", text=text, fix=fix)
    return Check(name="kubectl", state="ok", text=f"{client}; the server is {server}.")


def _minor(version: str) -> tuple[int, int] | None:
    found = re.match(r"v?(\d{1,4})\.(\d{1,4})", version)
    return (int(found[1]), int(found[2])) if found else None


def permissions(asked: Sequence[tuple[Need, bool]]) -> Iterator[Check]:
    """One line for each resource, and one more for what it lacks and could do without; (need, allowed) pairs."""
    groups: dict[tuple[str, bool], list[tuple[Need, bool]]] = {}
    for need, allowed in asked:
        groups.setdefault((need.resource, need.optional), []).append((need, allowed))
    for (resource, optional), mine in groups.items():
        verbs = list(dict.fromkeys(n.verb for n, _ in mine))
        denied = [n for n, allowed in mine if not allowed]
        if not denied:
            yield Check(name="permission", state="ok", text=f"may {', '.join(verbs)} {resource}")
            continue
        lacking = list(dict.fromkeys(n.verb for n in denied))
        names = list(dict.fromkeys(n.name for n in denied if n.name))
        which = f" ({some(names)})" if names and any(a for n, a in mine if n.name and n.verb in lacking) else ""
        why = "; ".join(dict.fromkeys(n.why for n in denied))
        rule = role.rule(KINDS[denied[0].kind].group, [resource], verbs)
        yield Check(
            name="permission", state="warn" if optional else "FAIL",
            text=f"may not {', '.join(lacking)} {resource}{which}: {why}", fix=f"Add to the Role: {rule}",
        )  # fmt: skip


def workloads(release: str, has: Sequence[str], gone: Sequence[str], zero: Sequence[str]) -> Check:
    """Whether the workloads that a release has are there. What is gone, a rollback does not start."""
    there = f"{len(has) - len(gone)} of the {counted(len(has), 'workload', 'workloads')} of {release} are there"
    off = f"; at 0 replicas: {some(zero)}" if zero else ""
    if not gone:
        return Check(name="workloads", state="ok", text=f"{there}{off}.")
    fix = "Look whether `namespace` and `context` are right; a rollback does not start what is not running."
    none = len(gone) == len(has)
    return Check(
        name="workloads",
        state="FAIL" if none else "warn",
        text=f"{there}{off}; not in the cluster: {some(gone)}.",
        fix=fix,
    )


def standing(closed: Sequence[str], unread: str, locked: str) -> Iterator[Check]:
    """What stands in the way of a rollback now: traffic that a run has closed, and the lock."""
    if closed:
        said = "; ".join(closed)
        yield Check(name="traffic", state="warn", text=f"CLOSED: {said}.", fix="`rollback reopen` opens it.")
    elif unread:
        yield Check(name="traffic", state="warn", text=f"Whether it is closed is not known: {unread}.")
    else:
        yield Check(name="traffic", state="ok", text="No run has closed it.")
    if locked:
        yield Check(
            name="lock", state="warn", text=f"Held by {locked}: a rollback would end with 6.",
            fix="`rollback unlock` says how to go on.",
        )  # fmt: skip
    else:
        yield Check(name="lock", state="ok", text="Nobody holds it.")


def notices(lacking: Mapping[str, Sequence[Lack]]) -> Iterator[Check]:
    """Whether the channels can be told that the settings name; one that cannot never stops a rollback."""
    if ready := [channel for channel, lacks in lacking.items() if not lacks]:
        yield Check(name="notify", state="ok", text=f"{', '.join(ready)}: all they need is set. Nothing was sent.")
    for channel, lacks in lacking.items():
        for lack in lacks:
            fix = lack.fix or "Set it where rollback runs; in Jenkins from a credential."
            without = f"A rollback goes on without; {channel} is not told."
            yield Check(name="notify", state="warn", text=f"{channel}: {lack.text}.", fix=f"{fix} {without}")


def text(checks: Sequence[Check]) -> str:
    """One line a check, what to do below it, and what it comes to."""
    lines = [line for check in checks for line in _lines(check)]
    bad = sum(c.state == "FAIL" for c in checks)
    doubtful = sum(c.state == "warn" for c in checks)
    warned = f" {doubtful} {'warning' if doubtful == 1 else 'warnings'}." if doubtful else ""
    if bad:
        end = f"Not ready: {bad} of {len(checks)} checks FAIL.{warned} A rollback would be refused or come out wrong."
    else:
        end = f"Ready for a rollback.{warned} `rollback plan --to RELEASE` shows what it would do."
    return redact("\n".join([*lines, "", *textwrap.wrap(end, WIDTH, break_on_hyphens=False)])) + "\n"


def _lines(check: Check) -> Iterator[str]:
    start = f"{check.state:<4} {check.name:<{_NAME}} "
    yield from wrapped(check.text, start)
    if check.fix:
        yield from wrapped(check.fix, " " * 5 + "→ ", " " * 7)
