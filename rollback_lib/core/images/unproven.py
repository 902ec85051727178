"""Where nothing proves what a plan would bring back: names that two releases share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rollback_lib.core.errors import Refusal
from rollback_lib.core.images.rungs import ContainerImage
from rollback_lib.core.reasons import Reason
from rollback_lib.core.wording import some

IMAGES: Final = "unproven-images"


def of_images(
    images: Sequence[ContainerImage], target: str, *, changes: bool, warnings: list[str]
) -> Iterator[Refusal]:
    """Where every one of the team's images has the name that it has at another release as well (design §6).

    A tag that each deploy overwrites looks just so: then what would be written is what failed. Where nothing else
    changes that is refused, never "nothing to do"; where something does, it is a warning.
    """
    own = [i for i in images if i.own]
    if not own or not all(i.same_elsewhere for i in own):
        return
    names = some(list(dict.fromkeys(i.manifest for i in own)))
    said = (
        f"the images of {target} have the names that they have at another release ({names}). If a deploy overwrites "
        f"these tags, what they name now is what failed"
    )
    if changes:
        warnings.append(f"{said}.")
    else:
        yield Refusal(
            f"{said}; and nothing else differs from what runs, so nothing tells whether {target} runs.", code=IMAGES,
            reason=Reason.SHARED_NAMES, subject=target, facts=tuple(dict.fromkeys(i.manifest for i in own)),
            fix="Then add them to images.mutable_tags in rollback.yaml; or say that they name what ran.",
        )  # fmt: skip
