"""What `rollback init` guesses, as values: the settings, the reason for each guess, and what is left open.

Guesses only: a wrong one is corrected by a person in rollback.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from rollback_lib.core import names
from rollback_lib.core.readouts import layout
from rollback_lib.core.readouts.environments import is_prod, of_path, said_in, templated
from rollback_lib.core.readouts.layout import Job, Manifest
from rollback_lib.core.readouts.split import PROD, UNNAMED, Place, fits, split
from rollback_lib.core.releases import left_out
from rollback_lib.core.releases.left_out import Other
from rollback_lib.core.settings.model import Environment, Images, Manifests, Overlay, Releases, Services, Settings
from rollback_lib.core.wording import some

_SKIPPED: Final = re.compile(r"(^|/)(templates|charts)/")
_NONE: Final = re.compile(r"(^|/)(docker-compose[^/]*|compose\.ya?ml|Chart\.yaml)$")  # never a manifest


Lines = tuple[str, ...]


class Guess(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that fit the repository. ``why``: by their section, the lines that give the reason for what differs.

    ``open``: the variables that the Jenkinsfile sets to what is not written there, so that a person has to complete it.
    ``services`` and ``objects`` (Kind/name): those that the paths hold.
    """

    settings: Settings
    why: Mapping[str, Lines]
    open: tuple[str, ...]
    services: tuple[str, ...] = ()
    objects: frozenset[str] = frozenset()


def guess(files: Sequence[str], read: Callable[[str], bytes], tags: Sequence[str], name: str) -> Guess:
    """What a repository shows; without tags, the usual pattern.

    ``files`` are the repository's paths, with `/`; ``read`` gives the bytes of one and is asked only for manifests and
    Jenkinsfiles; ``tags`` are git's tags; ``name`` is what the repository is called. Raises what ``read`` raises.
    """
    every = [f for f in files if left_out.may_matter(f)]
    charts = left_out.charts(files)
    skipped = {f for f in every if _SKIPPED.search(f) or any(left_out.within(f, c) for c in charts)}
    texts = {f: read(f) for f in every if f not in skipped and not _NONE.search(f)}
    kustomize = left_out.kustomized(texts)
    skipped |= kustomize.changed | kustomize.patches | kustomize.beside
    seen = [m for f, data in texts.items() if f not in skipped and (m := layout.read_manifest(f, data))]
    job = _job([(f, read(f).decode("utf-8", "replace")) for f in files if _is_jenkinsfile(f)])
    found = split(seen, every, skipped, job)
    held = {path for place in found for path in place.section.files}
    services = tuple(dict.fromkeys(s for place in found for s in place.section.services))
    objects = frozenset(o for place in found for o in place.section.objects)
    releases, why_releases = _releases(tags)
    manifests, own = _sections(found)
    images, why_images = _images(services, seen)
    environments = {
        place.name: Environment(
            namespace=place.namespace, overlay=_overlay(job, place.name, len(found)), manifests=own.get(place.name)
        )
        for place in found
    }  # fmt: skip
    rendered = tuple(o for o in kustomize.others if o.keys)
    why = {"releases": why_releases, "images": why_images}
    if not found:
        environments = {}
        for place in rendered or (Other("kustomize", PROD),):
            placed = of_path(f"{place.place}/x", ())
            env = PROD if placed is None else placed.word.lower()
            namespace, said = (
                (place.namespace, ("As the kustomization names it.",))
                if names.is_label(place.namespace)
                else _nothing(job, env)
            )
            environments[env] = Environment(namespace=namespace, overlay=_overlay(job, env, len(rendered)))
            why[env] = said
        made = bool(charts or rendered)
        manifests = Manifests(path="deploy/{environment}" if made else "k8s/{service}")
        why |= {"manifests": (_MADE_ELSEWHERE if made else _NO_WORKLOADS,)}
    else:
        why |= {f"manifests.{p.name}" if own else "manifests": _why(p, seen, held) for p in reversed(found)}
        why |= {place.name: place.why for place in found}
    ignore = tuple(dict.fromkeys(n for place in found for n in place.section.no_services))
    settings = Settings(
        application=_application(name), releases=releases, manifests=manifests,
        services=Services(ignore=ignore), images=images, environments=environments,
    )  # fmt: skip
    return Guess(settings=settings, why=why, open=job.unknown, services=services, objects=objects)


_NO_WORKLOADS: Final = "No Deployment, StatefulSet, DaemonSet or CronJob was found: write here where they are."
_MADE_ELSEWHERE: Final = "Another tool makes the manifests. Keep what it makes in git at each release, such as here."


def _overlay(job: Job, environment: str, of: int) -> Overlay:
    """What the Jenkinsfile sets; a value that names an environment, among several, is that one's only."""
    return Overlay(
        env={
            name: value for name, value in job.env
            if re.fullmatch(names.ENV_NAME, name) and (of < 2 or fits(said_in(value), environment))
        }
    )  # fmt: skip


def _releases(tags: Sequence[str]) -> tuple[Releases, Lines]:
    pattern, others = layout.guess_releases(tags)
    if not tags:
        return Releases(tag=pattern), ("No git tags were found, so this is only the usual pattern.",)
    left = (f"Left out, since they are no versions: {_some(others)}.",) if others else ()
    return Releases(tag=pattern), ("The shape that most git tags have.", *left)


def _sections(found: Sequence[Place]) -> tuple[Manifests, Mapping[str, Manifests]]:
    """(the section that is for all, those of environments of their own): only one of both says something."""
    if len(found) < 2:
        return (found[0].section.manifests if found else Manifests(path=())), {}
    actual = {place.name: place.section.manifests for place in found}
    one, *others = (_templated(m, name) for name, m in actual.items())
    if all(other == one for other in others) and all(one.of(name) == m for name, m in actual.items()):
        return one, {}
    return Manifests(path=()), actual


def _templated(manifests: Manifests, name: str) -> Manifests:
    lists = (manifests.paths, manifests.shared, manifests.ignore)
    path, shared, ignore = (tuple(templated(p, name) for p in paths) for paths in lists)
    whole = path[0] if isinstance(manifests.path, str) else path
    return Manifests(path=whole, shared=shared, ignore=ignore)


def _why(place: Place, seen: Sequence[Manifest], held: Collection[str]) -> Lines:
    section = place.section
    why = [f"Holds {len(section.services)} services, told apart by their workloads: {_some(section.services)}."]
    if all("{service}" in path for path in section.manifests.paths):
        why = [f"Fits {len(section.services)} services: {_some(section.services)}."]
    if section.doubled:
        why.append(f"Not read, since its workloads stand in other files as well: {_some(section.doubled)}.")
    if others := [m.path for m in seen if m.workloads and m.path not in held]:
        why.append(f"Workloads are also in: {_some(others)}.")
    return tuple(why)


def _images(services: Sequence[str], seen: Sequence[Manifest]) -> tuple[Images, Lines]:
    repository, tags = layout.guess_repository(seen, services)
    if repository and not names.is_plain(repository):
        repository = None
    used = [t for t in tags if layout.is_mutable(t)]
    mutable = tuple(dict.fromkeys([*used, *layout.DEFAULT_MUTABLE]))
    why = "Tags that deploys overwrite, so that they prove no release."
    if used:
        why = f"The manifests use {_some(used)}: each deploy overwrites that, so it proves no release."
    return Images(repository=repository, mutable_tags=mutable), (why,)


def _nothing(job: Job, environment: str) -> tuple[str, Lines]:
    named = [n for n in job.namespaces if fits(said_in(n), environment) and (said_in(n) or is_prod(environment))]
    return (named[0], ("As the Jenkinsfile names it.",)) if named else ("default", (UNNAMED,))


def _job(jenkinsfiles: Iterable[tuple[str, str]]) -> Job:
    """All Jenkinsfiles as one, the shallowest path first; a variable with two values is unknown."""
    jobs = [layout.read_job(text) for path, text in sorted(jenkinsfiles, key=lambda f: (f[0].count("/"), f[0]))]
    values: dict[str, set[str]] = {}
    for name, value in (pair for job in jobs for pair in job.env):
        values.setdefault(name, set()).add(value)
    unknown = dict.fromkeys(u for job in jobs for u in job.unknown)
    unknown.update(dict.fromkeys(n for n, v in values.items() if len(v) > 1))
    return Job(
        namespaces=tuple(dict.fromkeys(n for job in jobs for n in job.namespaces)),
        env=tuple((n, next(iter(v))) for n, v in values.items() if n not in unknown),
        unknown=tuple(unknown),
    )


def _is_jenkinsfile(path: str) -> bool:
    file = path.rpartition("/")[2].lower()
    return file.startswith("jenkinsfile") or file.endswith(".jenkinsfile")


def _application(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return plain or "application"


def _some(items: Sequence[str], limit: int = 6) -> str:
    return some([said(i) for i in items], limit)


def said(text: str) -> str:
    """A name from the repository in a comment, where a line break would end it."""
    return text if names.is_plain(text) else ascii(text)
