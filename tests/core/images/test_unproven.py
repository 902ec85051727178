"""Where nothing proves what a plan would bring back."""

from __future__ import annotations

from typing import Any

from rollback_lib.core.images import unproven
from rollback_lib.core.images.rungs import ContainerImage


def image(**more: Any) -> ContainerImage:
    given = {"own": True, "same_elsewhere": True, **more}
    return ContainerImage(
        service="cart", kind="Deployment", name="cart", container="cart", manifest="team/cart:1.0.0dev",
        to="team/cart@sha256:0", rung="manifest", **given,
    )  # fmt: skip


def said(*images: ContainerImage, changes: bool) -> tuple[list[str], list[str]]:
    warnings: list[str] = []
    refused = unproven.of_images(images, "0.0.1", changes=changes, warnings=warnings)
    return [r.code for r in refused], warnings


def test_where_nothing_else_changes_shared_names_are_refused_and_else_a_warning() -> None:
    assert said(image(), image(), changes=False) == (["unproven-images"], [])
    codes, warnings = said(image(), changes=True)
    assert codes == []
    assert "team/cart:1.0.0dev" in warnings[0]


def test_one_image_that_tells_the_releases_apart_is_enough_and_those_of_others_tell_nothing() -> None:
    assert said(image(), image(same_elsewhere=False), changes=False) == ([], [])
    assert said(image(), image(own=False, same_elsewhere=False), changes=False)[0] == ["unproven-images"]
    assert said(changes=False) == ([], [])
