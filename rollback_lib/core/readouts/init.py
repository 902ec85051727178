"""What `rollback init` guessed, for the person who has to go through it: the file, and what it says in a few lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from rollback_lib.core.readouts.guesses import Guess, said
from rollback_lib.core.redact import visible
from rollback_lib.core.releases.left_out import LeftOut
from rollback_lib.core.settings.model import Manifests, Settings
from rollback_lib.core.wording import wrapped

NO_FILE: Final = "There is no rollback.yaml here"
# What a rollback goes back to has a git tag; which images it ran only the cluster knows, and only while it runs.
FIRST_RELEASE: Final = (
    "no release has a git tag, so there is nothing to go back to yet. Give what runs now one, while it is well: "
    "`git tag v1.0.0 COMMIT`, `git push origin v1.0.0`, then `rollback record-release --release v1.0.0`; and both "
    "after each deploy from now on."
)
SECOND_RELEASE: Final = (
    "one release has a git tag, so there is nothing to go back to from it. `rollback record-release` now, while it is "
    "well, and tag and record each deploy from now on."
)
ADVICE: Final = "Run `rollback init`, read the file and commit it."


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A rollback.yaml and how much of the repository it fits.

    ``no_tags`` is git's own reason and advice where the clone has no tags; ``open`` are the lines that a person has to
    complete. ``services`` are names. ``left_out``: what is not in it; ``next``: what to do about that, in sentences.
    """

    text: str
    settings: Settings
    releases: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    no_tags: str = ""
    open: tuple[str, ...] = ()
    left_out: LeftOut = LeftOut()
    next: tuple[str, ...] = ()


def of_variable(name: str) -> str:
    """What a person has to do about a variable of `Guess.open`."""
    return f"the Jenkinsfile sets {said(name)} with `kubectl set env`, to a value not seen here."


def text(guess: Guess) -> str:
    """A rollback.yaml that `settings.load` reads as these settings, with comments for whoever goes through it."""
    return "\n".join(_file(guess)) + "\n"


def _file(guess: Guess) -> Iterator[str]:
    settings, why = guess.settings, guess.why
    yield "# Proposed by `rollback init` from what the repository shows. Read it once: every guess says why."
    yield f"application: {_quoted(settings.application)}"
    yield from _comment(why["releases"])
    yield "releases:"
    yield f"  tag: {_quoted(settings.releases.tag)}"
    if settings.manifests.paths:
        yield from _manifests(settings.manifests, why["manifests"], "")
    yield "# What must be up before the others, wave by wave; what is not named comes last, together."
    if settings.services.ignore:
        yield "services:"
        yield "  # order: [[service-discovery], [cloud-config]]"
        yield "  # No services, though the path fits them."
        yield f"  ignore: {_list(settings.services.ignore)}"
    else:
        yield "# services:"
        yield "#   order: [[service-discovery], [cloud-config]]"
    yield "images:"
    if settings.images.repository:
        yield "  # Images in the manifests that are named like their service."
        yield f"  repository: {_quoted(settings.images.repository)}"
    else:
        yield "  # No common name was seen, so images are looked for as each manifest names them. Else, such as:"
        yield '  # repository: "team/{service}"'
    yield from _comment(why["images"], "  ")
    yield f"  mutable_tags: {_list(settings.images.mutable_tags)}"
    yield "environments:"
    for name, where in settings.environments.items():
        yield f"  {name}:"
        yield from _comment(why[name], "    ")
        yield f"    namespace: {_quoted(where.namespace)}"
        yield "    # The kubeconfig context; without it the kubeconfig must leave no choice."
        yield "    # context: my-cluster"
        if where.overlay.env:
            yield "    # The Jenkinsfile sets this after `kubectl apply`; the manifests do not have it."
            yield "    overlay:"
            yield "      env:"
            yield from (f"        {_quoted(n)}: {_quoted(v)}" for n, v in where.overlay.env.items())
        for variable in guess.open:
            yield f"    # TO DO: {of_variable(variable)}"
            write = "Write it so: overlay: {env: {NAME: value}}"
            yield f"    # Without it a rollback restores what the manifests say. {write}"
        if where.manifests:
            yield from _manifests(where.manifests, why[f"manifests.{name}"], "    ")
        yield f"    approval: {where.approval}   # auto lets Jenkins roll back without asking a person"
    yield "verify:"
    timeout = settings.verify.rollout_timeout
    yield f"  rollout_timeout: {timeout}   # the least that a workload is given; slow probes extend it by themselves"
    yield "  # smoke: [{service: api-gateway, path: /actuator/health, json: {status: UP}}]"


def _manifests(manifests: Manifests, why: Iterable[str], indent: str) -> Iterator[str]:
    yield from _comment(why, indent)
    yield f"{indent}manifests:"
    yield f"{indent}  path: {_paths(manifests)}"
    if manifests.shared:
        yield f"{indent}  # ConfigMaps beside the services; applied before them."
        yield f"{indent}  shared: {_list(manifests.shared)}"
    if manifests.ignore:
        yield f"{indent}  # No manifests, or ones that stand elsewhere as well."
        yield f"{indent}  ignore: {_list(manifests.ignore)}"


def _comment(lines: Iterable[str], indent: str = "") -> Iterator[str]:
    return (f"{indent}# {line}" for line in lines)


def _quoted(text: str) -> str:
    """A YAML scalar: plain where nothing can read it as anything but this text, else in double quotes."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", text) and text.lower() not in _WORDS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_WORDS: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def _paths(manifests: Manifests) -> str:
    return _quoted(manifests.path) if isinstance(manifests.path, str) else _list(manifests.path)


def _list(items: Iterable[str]) -> str:
    return "[" + ", ".join(_quoted(i) for i in items) + "]"


def summary(proposal: Proposal) -> str:
    """What was guessed, one line a guess."""
    return visible("\n".join(_lines(proposal))) + "\n"


def guessed(settings: Settings, environment: str) -> str:
    """What a command goes by where there is no rollback.yaml, as far as it decides what is looked at."""
    where = settings.environments[environment]
    context = f"context {where.context}" if where.context else "the kubeconfig's current context"
    return (
        f"application {settings.application}, manifests in {settings.manifests.where}, {context}, "
        f"namespace {where.namespace}, environment {environment}"
    )


def _lines(proposal: Proposal) -> Iterator[str]:
    settings = proposal.settings
    yield from _row("application", settings.application)
    tags = f'tags that match "{settings.releases.tag}"'
    if proposal.releases:
        newest = ", ".join(proposal.releases[:3])
        yield from _row("releases", f"{tags}: {len(proposal.releases)}; newest: {newest}")
    else:
        yield from _row("releases", f"{tags}; none does now. {proposal.no_tags}".rstrip())
    services = proposal.services
    found = f"{len(services)} service{'s' if len(services) > 1 else ''}"
    if not services:
        found = "HEAD has no manifests there. Commit them, or mend the path."
    if settings.manifests.paths:
        yield from _row("manifests", f"{settings.manifests.where}: {found}")
    else:
        yield from _row("manifests", f"{found}, at paths of each environment's own")
    yield from _row("images", settings.images.repository or "as each manifest names them")
    for name, where in settings.environments.items():
        overlay = f", with {', '.join(where.overlay.env)} set" if where.overlay.env else ""
        own = f", {where.manifests.where}" if where.manifests else ""
        yield from _row("environment", f"{name}: namespace {where.namespace}{own}{overlay}")
    for left in proposal.left_out.objects:
        yield from _row("left out", str(left))
    for other in proposal.left_out.others:
        yield from _row(other.tool, str(other))
    for what in (*proposal.open, *proposal.next):
        yield from _row("TO DO", what)


def _row(name: str, text: str) -> list[str]:
    return wrapped(text, f"  {name:<12} ", " " * 15)
