"""Jenkinsfile.rollback on Jenkins's own engine; its steps really run the command on the sandbox."""

from __future__ import annotations

from rollback_lib.sandbox.playground import Playground
from tests.jenkins.conftest import Play

BACK = {"RELEASE": "v1.1.0", "REASON": "checkout answers 500"}


def test_the_way_through(play: Play, shop: Playground) -> None:
    build = play(BACK)
    assert build.result == "SUCCESS", build.text
    assert [s.is_release("v1.1.0") for s in shop.services()] == [True] * len(shop.services())
