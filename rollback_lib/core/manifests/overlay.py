"""What the deploy job sets after ``kubectl apply`` (`kubectl set env`): part of what ran, and so of what comes back."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence

from rollback_lib.core.kube.identity import ContainerRef
from rollback_lib.core.kube.kinds import AWAITED
from rollback_lib.core.kube.objects import Object, kind_of, named_containers
from rollback_lib.core.manifests.manifest_objects import Manifest, dump


def set_env(workload: Object, variables: Mapping[str, str], own: Collection[ContainerRef]) -> Object:
    """The workload with the variables in the team's ``own`` containers, as the job's ``kubectl set env`` leaves them.

    Init containers have none, and neither have other people's images: the job sets its own services.
    """
    changed = copy.deepcopy(workload)
    for ref, container in named_containers(changed):
        if ref.init or ref not in own:
            continue
        env = [dict(e) for e in container.get("env") or []]
        for name, value in variables.items():
            same = [e for e in env if e.get("name") == name]
            for entry in same:
                entry.pop("valueFrom", None)
                entry["value"] = value
            if not same:
                env.append({"name": name, "value": value})
        container["env"] = env
    return changed


def merge(manifest: Manifest, variables: Mapping[str, str], own: Collection[ContainerRef]) -> tuple[bytes, bool]:
    """The file with the variables merged as data, and whether anything changed; without a change the bytes stay."""
    if not variables:
        return manifest.data, False
    objects = [d.object for d in manifest.documents]
    changed = [set_env(o, variables, own) if kind_of(o) in AWAITED else o for o in objects]
    if changed == objects:
        return manifest.data, False
    return replaced(changed), True


def replaced(objects: Sequence[Object]) -> bytes:
    """A file that holds these objects, for where values were merged and the original bytes cannot stay."""
    return b"# Written by rollback: values were merged into the release's manifest.\n" + dump(objects).encode()
