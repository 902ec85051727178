"""How a repository is laid out, guessed from what is in it: for `rollback init`, which gives a reason for each guess.

Guesses only: a wrong one is corrected by a person in rollback.yaml. Nothing here decides what a rollback does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core import names
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.kube.kinds import template_path
from rollback_lib.core.kube.objects import kind_of
from rollback_lib.core.manifests import manifest_objects
from rollback_lib.core.releases import left_out

DEFAULT_MUTABLE: Final = ("latest", "prod", "dev", "stage")

_NAMED: Final = {"Namespace": "name"}  # the namespace that an object speaks of

_LIMIT = 4 * 1024 * 1024  # bytes of one manifest
_VERSION = re.compile(r"([A-Za-z][A-Za-z/_-]*|)([0-9]+(?:\.[0-9]+)+.*)")
_IMAGE = re.compile(r"(?P<repository>[A-Za-z0-9./_-]+(?::[0-9]+/[A-Za-z0-9./_-]+)?)(?::(?P<tag>[\w.-]+))?(?:@.*)?")


class Manifest(msgspec.Struct, frozen=True):
    """What one file holds, as far as a guess needs it. ``workloads`` are Kind/name."""

    path: str
    kinds: tuple[str, ...]
    workloads: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    objects: tuple[tuple[str, str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The workloads' names."""
        return tuple(w.partition("/")[2] for w in self.workloads)


class Job(msgspec.Struct, frozen=True):
    """What a Jenkinsfile says about a deploy. ``unknown``: variables that it sets to something not written there."""

    namespaces: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()


def read_manifest(path: str, data: bytes) -> Manifest | None:
    """The Kubernetes objects of a file; None if it has none. Of one that cannot be read, the workloads by its lines."""
    if len(data) > _LIMIT:
        return None
    try:
        objects = [o for document in manifest_objects.values(data, path) for o in left_out.objects(document)]
    except RefusedError:
        found = left_out.named_in(data, path, left_out.RUNS)
        return Manifest(path, tuple(w.partition("/")[0] for w in found), found) if found else None
    if not objects or any(o["kind"] in ("Kustomization", "Component") for o in objects):
        return None
    workloads = [o for o in objects if o["kind"] in left_out.RUNS and _runs_something(o)]
    return Manifest(
        path,
        kinds=tuple(o["kind"] for o in objects),
        workloads=tuple(f"{o['kind']}/{name}" for o in workloads if (name := _text(o, "metadata", "name"))),
        images=tuple(image for o in workloads for image in _images(o)),
        namespaces=tuple(ns for o in objects if (ns := _text(o, "metadata", _NAMED.get(o["kind"], "namespace")))),
        objects=tuple((o["kind"], _text(o, "metadata", "name"), _text(o, "metadata", "namespace")) for o in objects),
    )


def guess_repository(manifests: Sequence[Manifest], services: Iterable[str]) -> tuple[str | None, tuple[str, ...]]:
    """The pattern of the team's own images, and the tags that they carry in the manifests."""
    known = set(services)
    patterns: dict[str, set[str]] = {}
    tags: dict[str, dict[str, None]] = {}
    for image in (i for m in manifests for i in m.images):
        found = _IMAGE.fullmatch(image)
        if not found:
            continue
        prefix, _, last = found["repository"].rpartition("/")
        for service, shape in _shapes(last, known) if prefix else ():
            pattern = f"{prefix}/{shape}"
            patterns.setdefault(pattern, set()).add(service)
            if found["tag"]:
                tags.setdefault(pattern, {})[found["tag"]] = None
    if not patterns:
        return None, ()
    best = min(patterns, key=lambda p: (-len(patterns[p]), len(p), p))
    if len(patterns[best]) * 2 < len(known):  # somebody else's image, that is named like what runs it
        return None, ()
    return best, tuple(tags.get(best, {}))


def _shapes(last: str, services: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(a service, the last part of an image's name with it left open), for each whose name is whole words of it."""
    for service in services:
        found = re.fullmatch(rf"(.*[-_.])?{re.escape(service)}([-_.].*)?", last)
        if found:
            yield service, f"{found[1] or ''}{{service}}{found[2] or ''}"


def is_mutable(tag: str) -> bool:
    """Whether an image tag is a word that deploys overwrite, not a version, build or commit."""
    return not re.search(r"[0-9]", tag) and re.fullmatch(names.IMAGE_TAG, tag) is not None and not tag.isupper()


def guess_releases(tags: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """A pattern for the tags that look like versions, and those that begin alike but are none of them."""
    prefixes = Counter(found[1] for t in tags if (found := _VERSION.fullmatch(t)))
    if not prefixes:
        return "v*", ()
    prefix = min(prefixes, key=lambda p: (-prefixes[p], p != "v", p))
    meant = [t for t in tags if (found := _VERSION.fullmatch(t)) and found[1] == prefix]
    alike = tuple(t for t in tags if t.startswith(prefix) and t not in meant) if prefix else ()
    digits = [t for t in alike if t[len(prefix) :][:1].isdigit()]
    if digits:
        return f"{prefix}[0-9]*.[0-9]*", alike
    return (f"{prefix}[0-9]*", alike) if alike or not prefix else (f"{prefix}*", ())


def read_job(text: str) -> Job:
    """Namespaces and `kubectl set env` of a Jenkinsfile, comments aside; variables are followed where it sets them."""
    text = re.sub(r"(^|\s)/\*.*?\*/", " ", text, flags=re.S)  # not in `k8s/*.yaml`
    text = re.sub(r"(?m)(^|\s)//.*$", "", text)
    text = re.sub(r"\\{1,2}\r?\n", " ", text)
    known: dict[str, set[str]] = {}
    for name, value in re.findall(r"\b([A-Za-z_]\w*)\s*=\s*['\"]([^'\"\n]*)['\"]", text):
        known.setdefault(name, set()).add(value)
    spaces: dict[str, None] = {}
    for name, values in known.items():
        if re.search(r"namespace$", name, re.I):
            spaces.update(dict.fromkeys(sorted(values)))
    for word in re.findall(r"kubectl[^\n]*?\s(?:-n|--namespace)[ =]+([^\s'\";|&]+)", text):
        if (value := _resolve(word, known)) is not None:
            spaces[value] = None
    env: dict[str, str] = {}
    unknown: dict[str, None] = {}
    for call in re.findall(r"kubectl[^\n]*?\bset\s+env\b([^\n;|&]*)", text):
        for name, word in re.findall(r"(?<![\w-])([A-Za-z_][\w.]*)=([^\s'\"]+|(?=['\"]|\s|$))", call):
            value = _resolve(word, known) if word else None
            if value is not None and names.is_plain(value) and env.setdefault(name, value) == value:
                continue
            unknown[name] = None
    sure = tuple((n, v) for n, v in env.items() if n not in unknown)
    return Job(tuple(s for s in spaces if names.is_label(s)), sure, tuple(unknown))


def _resolve(word: str, known: dict[str, set[str]]) -> str | None:
    """A word of a command with the variables that have one value filled in; None where that is not possible."""
    found = re.fullmatch(r"\$\{?(?:env\.|params\.)?(\w+)\}?|%(\w+)%", word)
    if found:
        values = known.get(found[1] or found[2], set())
        return next(iter(values)) if len(values) == 1 else None
    return None if re.search(r"[$%{}]", word) else word


def patterns(path: str, service: str) -> list[str]:
    """The layouts in which ``path`` belongs to ``service``: a folder of its name, or a file of its name."""
    if not names.is_label(service) or not sound(path):
        return []
    *folders, file = path.split("/")
    found = ["/".join([*folders[:i], "{service}", *folders[i + 1 :]]) for i, f in enumerate(folders) if f == service]
    stem, dot, ending = file.rpartition(".")
    if stem == service:
        found.append("/".join([*folders, "{service}" + dot + ending]))
    return found


def sound(path: str) -> bool:
    """Whether a path can be written into the settings as it is."""
    parts = path.split("/")
    odd = re.search(r"[{}\\]|^[-~:/]|^[A-Za-z]:", path)
    return bool(path) and names.is_plain(path) and not odd and ".." not in parts and "" not in parts


def _runs_something(workload: Any) -> bool:
    """A patch of a workload has its kind and name, and no containers."""
    return bool(_inside(workload, *template_path(kind_of(workload)), "spec", "containers"))


def _inside(node: Any, *keys: str) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _text(node: Any, *keys: str) -> str:
    value = _inside(node, *keys)
    return value if isinstance(value, str) else ""


def _images(workload: Any) -> Iterable[str]:
    spec = _inside(workload, *template_path(kind_of(workload)), "spec")
    for key in ("initContainers", "containers"):
        containers = _inside(spec, key)
        for container in containers if isinstance(containers, list) else ():
            if image := _text(container, "image"):
                yield image
