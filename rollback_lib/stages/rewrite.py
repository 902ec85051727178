"""The release's own manifests, pointing at the proven images; nothing else in them is touched, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping

from rollback_lib.core.errors import Refusal, RefusedError
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.manifests import bots, grouping, manifest_objects, overlay, placeholders, splice
from rollback_lib.core.manifests.bots import Bot
from rollback_lib.core.manifests.grouping import SourceObject
from rollback_lib.core.run.records import Images, Request, Resolution, Rewritten
from rollback_lib.ports import Ports, RunStore, Writer

ID = "rewrite"
WRITES = False
FOLDER = "manifests/"


def run(run: RunStore, ports: Ports, write: Writer) -> Rewritten:
    request, resolution, images = run.get(Request), run.get(Resolution), run.get(Images)
    texts = ports.git.files(resolution.target.commit, resolution.files)
    chosen = {(i.kind, i.name, i.container, i.init): i.to for i in images.images}
    mine = {(o.file, o.document, o.part) for o in resolution.objects if o.kind != "Secret"}
    variables = request.target_environment.overlay.env
    own = {(i.kind, i.name, i.container) for i in images.images if i.own and not i.init}
    refused: list[Refusal] = []
    merged: list[str] = []
    found: list[Bot] = []
    for file in resolution.files:
        try:
            text = placeholders.substitute(texts[file], file, request.settings.manifests.substitute)
            refused += [Refusal(str(p.problem())) for p in placeholders.find(text, file)]
            text = splice.splice(text, file, lambda at: chosen.get((at.kind, at.name, at.container, at.init)))
            text = splice.keep_documents(text, file, lambda d: (d.file, d.index, d.part) in mine)
            with_overlay, touched = overlay.merge(text, file, variables, own)
        except RefusedError as error:
            refused += error.refusals
            continue
        found += bots.in_file(text, file)
        if touched:
            merged.append(file)
        run.write(FOLDER + file, with_overlay)
    if refused:
        raise RefusedError(*refused)
    return Rewritten(files=resolution.files, merged=tuple(merged), bots=tuple(found))


def planned(run: RunStore, resolution: Resolution) -> list[tuple[SourceObject, Object]]:
    """The objects as ``manifests/`` has them, each once. Raises RefusedError where two files disagree."""
    found: list[tuple[SourceObject, Object]] = []
    by_key: Mapping[tuple[str, str, str], SourceObject] = {(o.file, o.kind, o.name): o for o in resolution.objects}
    for file in resolution.files:
        for document in manifest_objects.read(run.read(FOLDER + file), file):
            key = (file, document.object["kind"], document.object["metadata"]["name"])
            found.append((by_key[key], document.object))
    return grouping.unique(found)
