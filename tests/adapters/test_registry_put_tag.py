"""Moving a tag: the same bytes under another name, and every way in which a registry says no."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.adapters.registry import RegistryClient
from rollback_lib.core.errors import FailedError, RefusedError, RollbackError, StaleError
from rollback_lib.sandbox.registry import Fault, Registry
from tests.fake_registry import FakeRegistry

REPO, GOOD_TAG = "sanjodb/x", "v1"
BOTH = ("linux/amd64", "linux/arm64")
ROBOT = {"ROLLBACK_REGISTRY_USER": "robot", "ROLLBACK_REGISTRY_PASSWORD": "pw"}


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


def client(url: str, tmp_path: Path, environ: dict[str, str] | None = None, **more: Any) -> RegistryClient:
    config = tmp_path / "config.json"
    return RegistryClient({"docker.io": url}, config, environ or {}, sleep=lambda s: None, **more)


def put(fake: FakeRegistry, tmp_path: Path, digest: str, tag: str = "prod", **more: Any) -> None:
    was = {"was": more.pop("was")} if "was" in more else {}
    with client(fake.url, tmp_path, **more) as registry:
        registry.put_tag(REPO, digest, tag, **was)


@pytest.mark.parametrize("platforms", [(), BOTH], ids=["image", "index"])
def test_the_same_bytes_and_type_come_under_the_tag(
    fake: FakeRegistry, tmp_path: Path, platforms: tuple[str, ...]
) -> None:
    good, bad = fake.push(REPO, GOOD_TAG, platforms), fake.push(REPO, "prod", config="bad")
    put(fake, tmp_path, good, was=bad)
    assert fake.stored[REPO, "prod"] == fake.stored[REPO, good]
    assert fake.count("PUT") == 1


def test_nothing_but_manifests_is_asked_for(fake: FakeRegistry, tmp_path: Path) -> None:
    good = fake.push(REPO, GOOD_TAG, BOTH)
    fake.push(REPO, "prod")
    put(fake, tmp_path, good)
    assert [(a.method, a.target) for a in fake.asked] == [
        ("HEAD", "prod"), ("GET", good), ("PUT", "prod"), ("HEAD", "prod"),
    ]  # fmt: skip


def test_a_tag_that_points_there_already_is_not_written(fake: FakeRegistry, tmp_path: Path) -> None:
    good = fake.push(REPO, "prod")
    fake.mood(405, "PUT")
    put(fake, tmp_path, good, was="sha256:" + "0" * 64)
    assert fake.count("PUT") == 0


def test_a_new_tag_is_made_so_that_a_clean_up_leaves_the_image(fake: FakeRegistry, tmp_path: Path) -> None:
    good = fake.push(REPO, GOOD_TAG)
    put(fake, tmp_path, good, "keep-v1", was="")
    assert fake.stored[REPO, "keep-v1"] == fake.stored[REPO, good]


def test_a_tag_that_a_fresh_deploy_moved_is_left(fake: FakeRegistry, tmp_path: Path) -> None:
    good, bad = fake.push(REPO, GOOD_TAG), fake.push(REPO, "prod", config="bad")
    newer = fake.push(REPO, "prod", config="newer")
    with pytest.raises(StaleError, match=f"someone else to {newer}"):
        put(fake, tmp_path, good, was=bad)
    assert fake.count("PUT") == 0


def test_what_a_look_up_says_afterwards_is_the_new_truth(fake: FakeRegistry, tmp_path: Path) -> None:
    good, bad = fake.push(REPO, GOOD_TAG), fake.push(REPO, "prod", config="bad")
    with client(fake.url, tmp_path) as registry:
        name = f"docker.io/{REPO}:prod"
        assert registry.look_up([name])[name].digest == bad
        registry.put_tag(REPO, good, "prod")
        assert registry.look_up([name])[name].digest == good


# Who may write


@pytest.mark.parametrize("vague", [False, True], ids=["asks-for-push", "asks-for-pull"])
def test_a_token_to_read_is_not_used_to_write(fake: FakeRegistry, tmp_path: Path, vague: bool) -> None:
    good, _ = fake.push(REPO, GOOD_TAG), fake.push(REPO, "prod", config="bad")
    fake.auth, fake.users, fake.vague = "bearer", {"robot": "pw"}, vague
    put(fake, tmp_path, good, environ=ROBOT)
    assert fake.stored[REPO, "prod"] == fake.stored[REPO, good]
    assert fake.tokens == 2
    written = [a.headers.get("authorization", "") for a in fake.asked if a.method == "PUT"]
    assert [("push" in w) for w in written] == [False, True]


def test_credentials_that_only_read_are_told_apart(fake: FakeRegistry, tmp_path: Path) -> None:
    good, bad = fake.push(REPO, GOOD_TAG), fake.push(REPO, "prod", config="bad")
    fake.auth, fake.users, fake.may_push = "bearer", {"robot": "pw"}, False
    with pytest.raises(RefusedError, match="as user 'robot': 401; this user may not push here") as refused:
        put(fake, tmp_path, good, environ=ROBOT)
    assert fake.stored[REPO, "prod"] == fake.stored[REPO, bad]
    assert "pw" not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, {"code": "DENIED"}, "403 DENIED; this user may not push"),
        (404, {"code": "NAME_UNKNOWN"}, "404 NAME_UNKNOWN; there is no such repository"),
        (405, None, "tags are immutable"),
        (412, {"code": "PRECONDITION"}, "tags are immutable"),
        (400, {"code": "ImageTagAlreadyExistsException"}, "tags are immutable"),
        (400, {"code": "MANIFEST_INVALID"}, "400 MANIFEST_INVALID; the registry did not take"),
        (413, None, "takes no manifest of [0-9]+ bytes"),
        (429, None, "the quota is spent"),
        (503, None, "in trouble"),
        (400, "<html>", "400; the registry did not take"),
        (400, {"code": "\x1b[2J"}, "400; the registry did not take"),
    ],
)
def test_a_refused_write_leaves_the_tag_and_says_why(
    fake: FakeRegistry, tmp_path: Path, status: int, body: Any, said: str
) -> None:
    good, bad = fake.push(REPO, GOOD_TAG), fake.push(REPO, "prod", config="bad")

    def mood(handler: Any, repository: str, target: str) -> bool:
        if handler.command == "PUT":
            handler.answer(status, json.dumps({"errors": [body]}).encode() if isinstance(body, dict) else b"<html>")
        return bool(handler.command == "PUT")

    fake.moods.append(mood)
    with pytest.raises(RefusedError, match=said):
        put(fake, tmp_path, good)
    assert fake.stored[REPO, "prod"] == fake.stored[REPO, bad]


def test_a_redirected_write_is_not_sent_on(fake: FakeRegistry, tmp_path: Path) -> None:
    good, _ = fake.push(REPO, GOOD_TAG), fake.push(REPO, "prod", config="bad")
    fake.auth, fake.users = "basic", {"robot": "pw"}
    with FakeRegistry() as other:
        fake.mood(307, "PUT", Location=f"{other.url}/v2/{REPO}/manifests/prod")
        with pytest.raises(RefusedError, match="never sent on"):
            put(fake, tmp_path, good, environ=ROBOT)
        assert other.asked == []


def test_an_image_that_the_repository_has_not_cannot_be_tagged(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.push(REPO, "prod")
    with pytest.raises(RefusedError, match=r"was not moved: .*404"):
        put(fake, tmp_path, "sha256:" + "0" * 64)
    assert fake.count("PUT") == 0


def test_a_registry_that_cannot_tell_where_the_tag_points_is_not_written(fake: FakeRegistry, tmp_path: Path) -> None:
    good = fake.push(REPO, GOOD_TAG)
    fake.mood(503, target="prod")
    with pytest.raises(RefusedError, match="where it points is not known"):
        put(fake, tmp_path, good)
    assert fake.count("PUT") == 0


# What is true afterwards


def test_a_yes_that_was_none_is_found_out(fake: FakeRegistry, tmp_path: Path) -> None:
    good, bad = fake.push(REPO, GOOD_TAG), fake.push(REPO, "prod", config="bad")
    fake.mood(201, "PUT")
    with pytest.raises(FailedError, match=f"names {bad}"):
        put(fake, tmp_path, good)


def test_a_no_that_was_done_all_the_same_counts_as_done(tmp_path: Path) -> None:
    with Registry() as sandbox:
        good = sandbox.push(REPO, GOOD_TAG, "good", "v1")
        sandbox.push(REPO, "prod", "crash", "v2")

        def lost(method: str, path: str) -> Fault | None:
            if method == "PUT":
                sandbox.tag(REPO, "prod", good)
                return Fault("status", 500)
            return None

        sandbox.faults = lost
        with client(sandbox.url, tmp_path) as registry:
            registry.put_tag(REPO, good, "prod")


def test_nobody_can_tell_after_the_registry_went_away(tmp_path: Path) -> None:
    with Registry() as sandbox:
        good = sandbox.push(REPO, GOOD_TAG, "good", "v1")
        sandbox.push(REPO, "prod", "crash", "v2")
        written: list[str] = []

        def gone(method: str, path: str) -> Fault | None:
            written.extend([path] if method == "PUT" else [])
            return Fault("status", 500) if written else None

        sandbox.faults = gone
        with client(sandbox.url, tmp_path) as registry, pytest.raises(FailedError, match="is not known"):
            registry.put_tag(REPO, good, "prod")


@pytest.mark.parametrize("platforms", [("linux/amd64",), BOTH])
def test_a_real_registrys_rules_are_met(tmp_path: Path, platforms: tuple[str, ...]) -> None:
    with Registry() as sandbox:
        good = sandbox.push(REPO, GOOD_TAG, "good", "v1", platforms=platforms)
        bad = sandbox.push(REPO, "prod", "crash", "v2")
        with client(sandbox.url, tmp_path) as registry:
            registry.put_tag(REPO, good, "prod", was=bad)
        assert (sandbox.digest(REPO, "prod"), sandbox.digest(REPO, GOOD_TAG)) == (good, good)


@pytest.mark.parametrize(
    ("repository", "tag"),
    [("", "prod"), ("UPPER/x", "prod"), ("a b", "prod"), (REPO, "../x"), (REPO, "v1+a"), (REPO, "")],
)
def test_what_is_no_repository_or_tag_is_refused(fake: FakeRegistry, tmp_path: Path, repository: str, tag: str) -> None:
    with client(fake.url, tmp_path) as registry, pytest.raises(RollbackError):
        registry.put_tag(repository, "sha256:" + "0" * 64, tag)
    assert fake.asked == []
