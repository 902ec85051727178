"""What a release holds: read from git, its placeholders filled in."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.images.ladder import Wanted
from rollback_lib.core.kube.objects import containers, kind_of, label, name_of, template
from rollback_lib.core.manifests import manifest_objects, placeholders
from rollback_lib.core.manifests.manifest_objects import read
from rollback_lib.core.run.records import Request, Resolution
from rollback_lib.ports import Ports


def containers_of(request: Request, ports: Ports, resolution: Resolution) -> list[Wanted]:
    """Every container of the target, as the release's manifests have it once its placeholders are filled in."""
    values = request.settings.manifests.substitute
    texts = ports.git.files(resolution.target.commit, resolution.files)
    services = {(o.file, o.document, o.part): o.service for o in resolution.objects}
    found: dict[tuple[str, str, bool], Wanted] = {}
    for file in resolution.files:
        for document in read(placeholders.substitute(texts[file], file, values), file):
            service = services.get((file, document.index, document.part))
            if service is None or kind_of(document.object) == "Job":
                continue
            workload = label(kind_of(document.object), name_of(document.object))
            for init, container in containers(template(document.object)):
                name = str(container.get("name") or "")
                w = Wanted(
                    service=service, workload=workload, container=name, init=init,
                    image=str(container.get("image") or ""), pull_policy=str(container.get("imagePullPolicy") or ""),
                    recorded=resolution.recorded.image(workload, name, init) if resolution.recorded else None,
                )  # fmt: skip
                found[workload, w.container, init] = w
    return list(found.values())


def line_of(
    request: Request, resolution: Resolution, ports: Ports, file: str, kind: str, name: str, path: Sequence[str | int]
) -> int:
    """The line of a value in a file of the target as git has it; 0 where it is not there."""
    with contextlib.suppress(KeyError, RefusedError):
        text = ports.git.files(resolution.target.commit, [file])[file]
        text = placeholders.substitute(text, file, request.settings.manifests.substitute)
        return manifest_objects.line_of(text, file, kind, name, path)
    return 0
