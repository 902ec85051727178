"""The images of a run's record: what was proven of each container, beside what it runs now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollback_lib.core.images import ladder
from rollback_lib.core.images.ladder import Choice, ImageSettings, Wanted
from rollback_lib.core.images.reference import digest_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.releases.live import Pods
from rollback_lib.core.run.records import ContainerImage, Tried


def proven(
    choice: Choice, live: Mapping[tuple[str, str, bool], str], running: Pods, answers: Mapping[str, Answer]
) -> ContainerImage:
    kind, _, name = choice.workload.partition("/")
    key = (choice.workload, choice.container, choice.init)
    is_live = live.get(key, "")
    newest = [r for r in running.get(key, ()) if r.newest]
    answer = answers.get(is_live)
    ran = {digest_of(r.image_id) for r in newest}
    still = bool(
        newest
        and all(ladder.same_image(choice.digests, r.image_id) for r in newest)
        and (digest_of(is_live) in choice.digests or (answer and answer.digest and answer.digest in choice.digests))
    )
    return ContainerImage(
        service=choice.service, kind=kind, name=name, container=choice.container, init=choice.init, own=choice.own,
        manifest=choice.before, live=is_live, to=choice.image, digest=choice.digest, digests=choice.digests,
        rung=choice.rung, live_is_target=still, ran=ran.pop() if len(ran) == 1 else "",
        tried=tuple(Tried(rung=t.rung, reference=t.reference, state=t.state, text=t.text) for t in choice.tried),
    )  # fmt: skip


def unproven(wanted: Sequence[Wanted], settings: ImageSettings) -> tuple[ContainerImage, ...]:
    found = []
    for w in wanted:
        kind, _, name = w.workload.partition("/")
        found.append(
            ContainerImage(
                service=w.service, kind=kind, name=name, container=w.container, init=w.init,
                own=ladder.is_own(w, settings), manifest=w.image, to=w.image, rung="unproven",
            )
        )  # fmt: skip
    return tuple(found)
