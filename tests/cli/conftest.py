"""One shop on one sandbox a test session and worker."""

import shutil
from collections.abc import Iterator

import pytest

from rollback_lib.sandbox.playground import Playground
from tests.cli.desk import MORE, SERVICES, SPEED, Desk
from tests.watched import WatchedSandbox


@pytest.fixture(scope="session")
def _desk() -> Iterator[Desk]:
    if not (shutil.which("kubectl") and shutil.which("git")):
        pytest.skip("needs kubectl and git")
    with Playground(services=SERVICES, more=MORE, speed=SPEED, sandbox=WatchedSandbox) as playground:
        yield Desk(playground)


@pytest.fixture
def desk(_desk: Desk) -> Desk:
    _desk.put_back()
    return _desk
