"""The images of a run's record: what was proven of each container, beside what it runs now."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rollback_lib.core.images import ladder
from rollback_lib.core.images.ladder import Choice, Wanted
from rollback_lib.core.images.reference import digest_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.kube.identity import ContainerRef
from rollback_lib.core.releases.live import Pods
from rollback_lib.core.run.records import ContainerImage


def proven(
    choice: Choice, live: Mapping[ContainerRef, str], running: Pods, answers: Mapping[str, Answer]
) -> ContainerImage:
    is_live = live.get(choice.wanted.ref, "")
    newest = [r for r in running.get(choice.wanted.ref, ()) if r.newest]
    answer = answers.get(is_live)
    ran = {digest_of(r.image_id) for r in newest}
    still = bool(
        newest
        and all(ladder.same_image(choice.digests, r.image_id) for r in newest)
        and (digest_of(is_live) in choice.digests or (answer and answer.digest and answer.digest in choice.digests))
    )
    return msgspec.structs.replace(
        unproven(choice.wanted, choice.own), live=is_live, to=choice.image, digest=choice.digest,
        digests=choice.digests, rung=choice.rung, tried=choice.tried, live_is_target=still,
        ran=ran.pop() if len(ran) == 1 else "",
    )  # fmt: skip


def unproven(wanted: Wanted, own: bool) -> ContainerImage:
    workload = wanted.ref.workload
    return ContainerImage(
        service=wanted.service, kind=workload.kind, name=workload.name, container=wanted.ref.name,
        init=wanted.ref.init, own=own, manifest=wanted.image, to=wanted.image, rung="unproven",
    )  # fmt: skip
