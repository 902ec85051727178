"""Programs that write images by themselves: what a rollback puts back, they put forward again within minutes.

(hmcts/cnp-flux-config#47523: the image was rolled back in git, and the automation would have committed the new tag
again.) A program that owns the live object is another matter: see `core.kube.owners`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from rollback_lib.core.kube.objects import notes_of, ref_of, template
from rollback_lib.core.manifests import splice
from rollback_lib.core.manifests.manifest_objects import Manifest
from rollback_lib.core.wording import some


class Bot(msgspec.Struct, frozen=True):
    """A program that writes an image by itself, and where that stands: file and line, or an object."""

    name: str
    place: str


_BREAK: Final = re.compile(r"\r\n|\n|\r")
_COMMENTS: Final = (
    (re.compile(r'"\$imagepolicy"\s*:\s*"([^"]*)"'), "Flux's image automation"),
    (re.compile(r"\brenovate:\s*(\S.*)"), "Renovate"),
    (re.compile(r"\b(x-release-please-\S+)"), "release-please"),
)
_MARKS: Final = (
    ("keel.sh/policy", "Keel"),
    ("argocd-image-updater.argoproj.io/", "Argo CD Image Updater"),
    ("image.openshift.io/triggers", "OpenShift's image triggers"),
    ("fluxcd.io/automated", "Flux 1"),
    ("flux.weave.works/automated", "Flux 1"),
)
_SILENT: Final = ("never", "false", "", "[]")


def in_file(manifest: Manifest) -> Iterator[Bot]:
    """Marks in the comments of images: on their line, or on a line of its own above."""
    lines = _BREAK.split(manifest.source.text)
    for at in splice.images(manifest):
        above = lines[at.line - 2].strip() if at.line > 1 else ""
        here = lines[at.line - 1] if at.line <= len(lines) else ""
        for comment in (above if above.startswith("#") else "", here.partition("#")[2]):
            for pattern, name in _COMMENTS:
                if found := pattern.search(comment):
                    yield Bot(f"{name} ({found[1].strip()[:60]})", f"{manifest.file}:{at.line}")


def on_object(obj: Mapping[str, Any]) -> Iterator[Bot]:
    """Marks on a workload: its annotations and labels, and those of its template."""
    pods = template(obj)
    if pods is None:
        return
    for part in (obj, pods):
        marks = {**((part.get("metadata") or {}).get("labels") or {}), **notes_of(part)}
        for prefix, name in _MARKS:
            if any(k.startswith(prefix) and str(v) not in _SILENT for k, v in marks.items()):
                yield Bot(name, str(ref_of(obj)))


def every(by_files: Sequence[Bot], objects: Iterable[Mapping[str, Any] | None]) -> tuple[Bot, ...]:
    """Who writes images by itself: by the files, and by what stands on the objects, old and new; each once."""
    return tuple(dict.fromkeys((*by_files, *(b for obj in objects if obj is not None for b in on_object(obj)))))


def warning(bots: Sequence[Bot]) -> str:
    """What they will do, in one sentence; empty where there is none."""
    if not bots:
        return ""
    names = list(dict.fromkeys(b.name for b in bots))
    places = list(dict.fromkeys(b.place for b in bots))
    who = some(names)
    where = some(places, 2)
    if len(names) == 1:
        return f"{who} writes images by itself ({where}): suspend it, or it puts the failed one back."
    return f"{who} write images by themselves ({where}): suspend them, or they put the failed one back."
