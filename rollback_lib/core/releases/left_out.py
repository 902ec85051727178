"""What of a commit no path of the settings reaches: objects in other files, and what only another tool can read.

It looks at names and kinds only, in files that need not even read: what is left out has to be named all the same.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.kube.kinds import WORKLOADS, WRITTEN
from rollback_lib.core.manifests import manifest_objects, services
from rollback_lib.core.settings.model import Settings

# What runs pods for long; those beyond WORKLOADS a plan refuses or leaves, and says so.
RUNS: Final = (*WORKLOADS, "Rollout", "ReplicaSet", "ReplicationController", "DeploymentConfig")
_TOLD: Final = (*RUNS, *(kind for kind in WRITTEN if kind not in RUNS))
_KIND: Final = re.compile(rf"""(?m)^[ \t{{"'-]*kind["']?[ \t]*:[ \t]*["']?({"|".join(_TOLD)})\b""")
_NAME: Final = re.compile(r"""(?m)^[ \t]*metadata:[\s\S]*?\bname["']?[ \t]*:[ \t]*["']?([^\s"',}]+)""")
_ASIDE: Final = re.compile(r"(^|/)(\.git[^/]*|node_modules|vendor)/")
_COMPOSE: Final = re.compile(r"(docker-)?compose[^/]*\.ya?ml")
_KUSTOMIZATION: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_LISTS: Final = ("resources", "bases", "components")
_PLAIN_KEYS: Final = ("apiVersion", "kind", "metadata", *_LISTS)
_LIMIT: Final = 4 * 1024 * 1024  # bytes of one file


class Beyond(msgspec.Struct, frozen=True):
    """What a file holds that no path reaches, as Kind/name: workloads, and what a rollback would write beside them."""

    file: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.names)} ({self.file})"


class Other(msgspec.Struct, frozen=True):
    """What another tool makes manifests of. ``files``: those that it builds on; ``keys``: what it changes in them;
    ``names``: what these hold, where no path reaches them; ``namespace``: the one that it says.
    """

    tool: Literal["helm", "kustomize", "compose"]
    place: str
    files: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    namespace: str = ""

    def __str__(self) -> str:
        return self.place + (f" makes {', '.join(self.names)}" if self.names else "")


class LeftOut(msgspec.Struct, frozen=True):
    """All that a plan does not hold."""

    objects: tuple[Beyond, ...] = ()
    others: tuple[Other, ...] = ()


class Kustomized(msgspec.Struct, frozen=True):
    """What kustomize does: ``others`` that change something; ``changed``: the files that they build on; ``patches``;
    ``beside``: all files in the folders of overlays.
    """

    others: tuple[Other, ...] = ()
    changed: frozenset[str] = frozenset()
    patches: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()


def may_matter(path: str) -> bool:
    """Whether a file of this name can hold what is looked for."""
    named = services.is_manifest(path) or posixpath.basename(path) in _KUSTOMIZATION
    return named and not _ASIDE.search(path)


def named_in(data: bytes, file: str, kinds: Collection[str] = _TOLD) -> tuple[str, ...]:
    """What a file holds of these kinds, as Kind/name; also one that does not read, as far as its lines tell."""
    text = data[:_LIMIT].decode("utf-8", "replace")
    if not _KIND.search(text) and not (text.lstrip()[:1] in "{[" and "kind" in text):
        return ()
    try:
        found = [o for value in manifest_objects.values(data, file) for o in objects(value)]
    except RefusedError:
        lines = ((kind[1], name[1] if name else "?") for kind, name in _by_lines(text))
        return tuple(f"{kind}/{name}" for kind, name in lines if kind in kinds)
    return tuple(f"{o['kind']}/{_name(o)}" for o in found if o["kind"] in kinds)


def _name(body: Mapping[str, Any]) -> str:
    metadata = body.get("metadata")
    return str(metadata.get("name")) if isinstance(metadata, Mapping) else "?"


def objects(document: Any) -> Iterator[dict[str, Any]]:
    """The Kubernetes objects of one document, a List's one by one."""
    if not isinstance(document, dict):
        return
    kind, version = document.get("kind"), document.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        return
    if kind == "List" and isinstance(document.get("items"), list):
        for item in document["items"]:
            if not (isinstance(item, dict) and item.get("kind") == "List"):
                yield from objects(item)
        return
    yield document


def _by_lines(text: str) -> Iterator[tuple[re.Match[str], re.Match[str] | None]]:
    for document in re.split(r"(?m)^---", text):
        if kind := _KIND.search(document):
            yield kind, _NAME.search(document)


def charts(paths: Collection[str]) -> tuple[str, ...]:
    """The folders of Helm charts, none inside another; "." is the whole repository."""
    found = sorted({posixpath.dirname(p) or "." for p in paths if posixpath.basename(p) in ("Chart.yaml", "Chart.yml")})
    return tuple(c for c in found if not any(o != c and within(c, o) for o in found))


def within(path: str, folder: str) -> bool:
    """Whether it is this folder, or inside of it; of the whole repository, its chart's own folders."""
    if folder == ".":
        return path.startswith(("templates/", "charts/")) or path in ("Chart.yaml", "values.yaml")
    return path == folder or path.startswith(f"{folder}/")


def kustomized(texts: Mapping[str, bytes]) -> Kustomized:
    """What the kustomizations among these files change. One that only lists files changes nothing."""
    read = {posixpath.dirname(f): _mapping(d, f) for f, d in texts.items() if posixpath.basename(f) in _KUSTOMIZATION}
    within_others = {
        _join(folder, path)
        for folder, said in read.items()
        for key in _LISTS
        for path in _strings(said.get(key))
    }  # fmt: skip
    others, changed, beside = [], set[str](), set[str]()
    patches = {p for folder, said in read.items() for p in _patches(folder, said) if p in texts}
    for folder in read:
        ways = set[str]()
        files = {f for f in _builds_on(folder, read, ways) if f in texts}
        keys = dict.fromkeys(k for way in sorted(ways) for k, v in read[way].items() if k not in _PLAIN_KEYS and v)
        if keys:
            changed |= files
            beside |= {f for f in texts if len(ways) > 1 and folder and posixpath.dirname(f) == folder}
        if (keys or len(ways) > 1) and folder not in within_others:
            namespace = next((str(n) for way in (folder, *sorted(ways)) if (n := read[way].get("namespace"))), "")
            others.append(Other("kustomize", folder or ".", tuple(sorted(files)), tuple(keys), namespace=namespace))
    others.sort(key=lambda o: ("prod" not in o.place, o.place))
    return Kustomized(tuple(others), frozenset(changed), frozenset(patches), frozenset(beside))


def _mapping(data: bytes, file: str) -> Mapping[str, Any]:
    try:
        found = manifest_objects.values(data, file)
    except RefusedError:
        return {"what does not read": True}
    return next((value for value in found if isinstance(value, Mapping)), {})


def _strings(value: Any) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _join(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path)).removeprefix("./")


def _patches(folder: str, said: Mapping[str, Any]) -> Iterator[str]:
    named = _strings(said.get("patchesStrategicMerge"))
    for key in ("patches", "patchesJson6902"):
        listed = said.get(key)
        named += (
            [p["path"] for p in listed if isinstance(p, Mapping) and isinstance(p.get("path"), str)]
            if isinstance(listed, list)
            else []
        )
    yield from (_join(folder, path) for path in named if "\n" not in path)


def _builds_on(folder: str, read: Mapping[str, Mapping[str, Any]], seen: set[str]) -> Iterator[str]:
    if folder in seen:
        return
    seen.add(folder)
    for key in _LISTS:
        for path in (_join(folder, p) for p in _strings(read.get(folder, {}).get(key))):
            if path in read or (path == "." and "" in read):
                yield from _builds_on("" if path == "." else path, read, seen)
            else:
                yield path


def find(texts: Mapping[str, bytes], settings: Settings, planned: Collection[str] = ()) -> LeftOut:
    """What these files hold, all that may matter of a commit, beyond what settings reach in any environment.

    ``planned``: what a plan holds, as Kind/name, so that another file which has it too leaves nothing out. What
    `manifests.ignore` names is left out by a person, who knows.
    """
    reached = _reached(settings)
    there, kustomize = charts(texts), kustomized(texts)
    known, found, made = set(planned), list[Beyond](), dict[str, tuple[str, ...]]()
    for file in sorted(texts):
        if reached(file) is not False or file in kustomize.patches or any(within(file, c) for c in there):
            continue
        if names := tuple(n for n in dict.fromkeys(named_in(texts[file], file)) if n not in known):
            if file in kustomize.changed:
                made[file] = names
            else:
                found.append(Beyond(file, names))
    others = [Other("helm", c) for c in there if reached(f"{c}/Chart.yaml") is not None]
    for o in kustomize.others:
        if reached(f"{o.place}/kustomization.yaml") is not None:
            names = tuple(dict.fromkeys(n for f in o.files for n in made.get(f, ())))
            others.append(msgspec.structs.replace(o, names=names))
    named = {f for o in others for f in o.files}
    found += [Beyond(file, names) for file, names in made.items() if file not in named]
    others += [Other("compose", f) for f in sorted(texts) if _COMPOSE.fullmatch(posixpath.basename(f))]
    return LeftOut(tuple(found), tuple(others))


def _reached(settings: Settings) -> Callable[[str], bool | None]:
    """Whether an environment's plan holds a file; None where the settings say that it is none of ours."""
    every = [(where.manifests or settings.manifests).of(name) for name, where in settings.environments.items()]
    owners = [services.owner(m.paths) for m in every]

    def reached(file: str) -> bool | None:
        ignored = [m.ignores(file) for m in every]
        for m, owner, out in zip(every, owners, ignored, strict=True):
            if not out and (owner(file) is not None or any(within(file, services.tidy(s)) for s in m.shared)):
                return True
        return None if any(ignored) else False

    return reached


def warnings(found: LeftOut, files: Collection[str]) -> Iterator[str]:
    """What a plan leaves out, for people. ``files``: those that it goes by."""
    if found.objects:
        yield (
            f"Left out, since `manifests.path` does not reach them: {'; '.join(map(str, found.objects))}. Add their "
            f"place there if they are deployed with this; else name them in `manifests.ignore`."
        )
    for other in found.others:
        if other.tool == "kustomize" and (mine := [f for f in other.files if f in files]) and other.keys:
            yield (
                f"{other.place} (kustomize) builds on {mine[0]} and changes {', '.join(other.keys)}: none of that is "
                f"in this plan. {NEXT['kustomize'].format(place=other.place)}"
            )
    if places := [o.place for o in found.others if o.tool == "helm"]:
        yield f"Left out, since Helm makes the manifests: {', '.join(places)}. {NEXT['helm'].format(place=places[0])}"
    rest = [o for o in found.others if o.tool == "kustomize" and not set(o.files) & set(files)]
    if rest:
        said = NEXT["kustomize"].format(place=rest[0].place)
        yield f"Left out, since kustomize makes the manifests: {'; '.join(map(str, rest))}. {said}"


# Reading Helm's own record and running kustomize are not built: what can be done today, by tool.
NEXT: Final[Mapping[str, str]] = {
    "helm": "Charts are not read. Today: `helm history` and `helm rollback` go back by Helm itself; or keep what it "
    "makes in git at each release: `helm template NAME {place} > FILE`, with FILE in `manifests.path`.",
    "kustomize": "Kustomize is not run. Today: keep what it makes in git at each release: "
    "`kubectl kustomize {place} > FILE`, with FILE in `manifests.path`.",
    "compose": "docker compose is not Kubernetes, so nothing of it can be rolled back. If it is only for development, "
    "there is nothing to do.",
}
