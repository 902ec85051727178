"""What `rollback init` guesses, as values: the settings, the reason for each guess, and what is left open.

Guesses only: a wrong one is corrected by a person in rollback.yaml.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from rollback_lib.core import names
from rollback_lib.core.readouts import layout
from rollback_lib.core.readouts.layout import Job, Layout, Manifest
from rollback_lib.core.settings.model import Environment, Images, Manifests, Overlay, Releases, Services, Settings
from rollback_lib.core.wording import some

_SKIPPED = re.compile(r"(^|/)(\.|node_modules/|vendor/|templates/|charts/|docker-compose|compose\.ya?ml|Chart\.yaml)")
_ENVIRONMENT = "prod"


Lines = tuple[str, ...]


class Guess(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that fit the repository. ``why``: by their section, the lines that give the reason for what differs.

    ``open``: the variables that the Jenkinsfile sets to what is not written there, so that a person has to complete it.
    """

    settings: Settings
    why: Mapping[str, Lines]
    open: tuple[str, ...]


def guess(files: Sequence[str], read: Callable[[str], bytes], tags: Sequence[str], name: str) -> Guess:
    """What a repository shows; without tags, the usual pattern.

    ``files`` are the repository's paths, with `/`; ``read`` gives the bytes of one and is asked only for manifests and
    Jenkinsfiles; ``tags`` are git's tags; ``name`` is what the repository is called. Raises what ``read`` raises.
    """
    seen = [m for f in files if _may_be_manifest(f) and (m := layout.read_manifest(f, read(f)))]
    job = _job([(f, read(f).decode("utf-8", "replace")) for f in files if _is_jenkinsfile(f)])
    found = layout.guess_layout(seen)
    releases, why_releases = _releases(tags)
    manifests, why_manifests = _manifests(found, seen)
    images, why_images = _images(found, seen)
    namespace, why_namespace = _namespace(found, seen, job)
    overlay = Overlay(env={n: v for n, v in job.env if re.fullmatch(names.ENV_NAME, n)})
    settings = Settings(
        application=_application(name), releases=releases, manifests=manifests,
        services=Services(ignore=_of_kustomize(found, seen)), images=images,
        environments={_ENVIRONMENT: Environment(namespace=namespace, overlay=overlay)},
    )  # fmt: skip
    why = {
        "releases": why_releases, "manifests": why_manifests, "images": why_images,
        "environments": why_namespace,
    }  # fmt: skip
    return Guess(settings=settings, why=why, open=job.unknown)


def _releases(tags: Sequence[str]) -> tuple[Releases, Lines]:
    pattern, others = layout.guess_releases(tags)
    if not tags:
        return Releases(tag=pattern), ("No git tags were found, so this is only the usual pattern.",)
    left_out = (f"Left out, since they are no versions: {_some(others)}.",) if others else ()
    return Releases(tag=pattern), ("The shape that most git tags have.", *left_out)


def _manifests(found: Layout | None, seen: Sequence[Manifest]) -> tuple[Manifests, Lines]:
    if found is None:
        said = "No Deployment, StatefulSet, DaemonSet or CronJob was found: write here where they are."
        return Manifests(path="k8s/{service}"), (said,)
    why = ["Most workloads are here; no pattern with {service} fits them."]
    if "{service}" in found.path:
        why = [f"Fits {len(found.services)} services: {_some(found.services)}."]
    if found.others:
        why.append(f"Workloads are also in: {_some(found.others)}.")
    return Manifests(path=found.path, shared=layout.guess_shared(seen, found)), tuple(why)


def _of_kustomize(found: Layout | None, seen: Sequence[Manifest]) -> tuple[str, ...]:
    """What the path would take for services, and is for kustomize."""
    if not found or "/{service}." not in f"/{found.path}":
        return ()
    before, _, after = found.path.partition("{service}")
    return tuple(
        stem
        for m in seen
        if m.kinds == ("Kustomization",) and m.path.startswith(before) and m.path.endswith(after)
        if names.is_label(stem := m.path[len(before) : len(m.path) - len(after)])
    )


def _images(found: Layout | None, seen: Sequence[Manifest]) -> tuple[Images, Lines]:
    repository, tags = layout.guess_repository(seen, found.services if found else ())
    if repository and not names.is_plain(repository):
        repository = None
    used = [t for t in tags if layout.is_mutable(t)]
    mutable = tuple(dict.fromkeys([*used, *layout.DEFAULT_MUTABLE]))
    why = "Tags that deploys overwrite, so that they prove no release."
    if used:
        why = f"The manifests use {_some(used)}: each deploy overwrites that, so it proves no release."
    return Images(repository=repository, mutable_tags=mutable), (why,)


def _namespace(found: Layout | None, seen: Sequence[Manifest], job: Job) -> tuple[str, Lines]:
    if job.namespaces:
        others = f"; it also names {_some(job.namespaces[1:])}" if len(job.namespaces) > 1 else ""
        return job.namespaces[0], (f"As the Jenkinsfile names it{others}.",)
    prefix = found.path.partition("{service}")[0] if found else ""
    inside = Counter(n for m in seen if m.path.startswith(prefix) for n in m.namespaces if names.is_label(n))
    if inside:
        return min(inside, key=lambda n: (-inside[n], n)), ("As the manifests name it.",)
    said = "Neither manifests nor a Jenkinsfile name one, so this is Kubernetes' own default: check it."
    return "default", (said,)


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


def _may_be_manifest(path: str) -> bool:
    return path.endswith((".yaml", ".yml", ".json")) and not _SKIPPED.search(path)


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
