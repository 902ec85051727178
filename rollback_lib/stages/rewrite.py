"""The release's own manifests, pointing at the proven images; nothing else in them is touched, byte for byte."""

from __future__ import annotations

from rollback_lib.core.errors import Refusal, RefusedError
from rollback_lib.core.manifests import bots, overlay, placeholders, splice
from rollback_lib.core.manifests.bots import Bot
from rollback_lib.core.manifests.manifest_objects import Document
from rollback_lib.core.plan import decide
from rollback_lib.core.reasons import Reason
from rollback_lib.core.run.records import Images, Request, Resolution, Rewritten
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.releases import reading, rewritten

ID = "rewrite"
WRITES = False


def run(run: RunStore, ports: Ports, write: Writer) -> Rewritten:
    request, resolution, images = run.get(Request), run.get(Resolution), run.get(Images)
    release = reading.release(ports, request.settings, resolution.target.commit)
    chosen = {i.ref: i.to for i in images.images}
    mine = {(o.file, o.document, o.part) for o in resolution.objects if o.kind != "Secret"}
    variables = request.target_environment.overlay.env
    own = {i.ref for i in images.images if i.own}
    namespace, given = request.target_environment.namespace, request.settings.manifests.substitute

    def is_written(d: Document) -> bool:
        return (d.file, d.index, d.part) in mine and not decide.never_written(d.object, namespace)

    refused: list[Refusal] = []
    merged: list[str] = []
    found: list[Bot] = []
    for file in resolution.files:
        try:
            manifest = release.manifest(file)
            refused += [
                Refusal(str(p.problem()), reason=Reason.PLACEHOLDER, subject=p.problem().place, facts=(p.name, p.path))
                for p in placeholders.find(manifest, given, is_written)
            ]
            manifest = splice.splice(manifest, lambda at: chosen.get(at.ref))
            manifest = splice.keep_documents(manifest, lambda d: (d.file, d.index, d.part) in mine)
            with_overlay, touched = overlay.merge(manifest, variables, own)
        except RefusedError as error:
            refused += error.refusals
            continue
        found += bots.in_file(manifest)
        if touched:
            merged.append(file)
        else:
            reading.known(ports.once, manifest)  # for `preflight`, which reads what is written here
        run.write(rewritten.FOLDER + file, with_overlay)
    if refused:
        raise RefusedError(*refused)
    return Rewritten(files=resolution.files, merged=tuple(merged), bots=tuple(found))
