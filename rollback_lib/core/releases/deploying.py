"""A deploy that is still at work while a rollback is planned: it would overwrite what is put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from rollback_lib.core.kube.marks import restored_release
from rollback_lib.core.wording import some


class Deploying(msgspec.Struct, frozen=True, kw_only=True):
    """What is under way, or was not looked at: a build (``shop/deploy #59``), or a workload's rollout.

    ``why``: of what was not looked at.
    """

    kind: Literal["build", "rollout", "unseen"]
    what: str
    url: str = ""
    why: str = ""


# English and Spanish, as in `core.report.words`.
_SAYS: Final = {
    "build": (
        "{what} is building{url}: it would overwrite this.",
        "{what} está en marcha{url}: sobrescribiría esto.",
    ),
    "rollout": (
        "A rollout that is not ours is under way ({what}): a deploy that is still at work would overwrite this.",
        "Hay un cambio en curso que no es nuestro ({what}): un despliegue en marcha sobrescribiría esto.",
    ),
    "unseen": (
        "Whether {what} is building was not looked at: {why}.",
        "No se miró si {what} está en marcha: {why}.",
    ),
}  # fmt: skip


def is_rolling(live: Mapping[str, Any]) -> bool:
    """Whether a workload is on its way to another template, and not to one that a run of ours has put there.

    What is paused, or is updated only by hand or in part, is not on its way.
    """
    spec, status = live.get("spec") or {}, live.get("status") or {}
    strategy = spec.get("updateStrategy") or {}
    partition = (strategy.get("rollingUpdate") or {}).get("partition")
    if spec.get("paused") or strategy.get("type") == "OnDelete" or partition or restored_release(live):
        return False
    if int(status.get("observedGeneration") or 0) < int((live.get("metadata") or {}).get("generation") or 0):
        return True
    if "desiredNumberScheduled" in status:
        return int(status.get("updatedNumberScheduled") or 0) < int(status["desiredNumberScheduled"] or 0)
    wanted = spec.get("replicas")
    updated = int(status.get("updatedReplicas") or 0)
    return updated < (1 if wanted is None else int(wanted)) or int(status.get("replicas") or 0) > updated


def said(found: Sequence[Deploying], language: int = 0) -> tuple[str, ...]:
    """A sentence each, rollouts together. ``language``: 0 for English, 1 for Spanish."""
    rollouts = [d.what for d in found if d.kind == "rollout"]
    together = Deploying(kind="rollout", what=some(rollouts))
    each = [*(d for d in found if d.kind != "rollout"), *([together] if rollouts else [])]
    return tuple(
        _SAYS[d.kind][language].format(what=d.what, why=d.why, url=f" ({d.url})" if d.url else "") for d in each
    )
