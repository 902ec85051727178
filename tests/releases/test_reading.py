"""A release is read once a process: each file of a commit from git, and each text by the parser."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.manifests import manifest_objects, placeholders, splice
from rollback_lib.core.manifests.documents import Source, compose
from rollback_lib.core.manifests.tree import Files
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings import model
from rollback_lib.operations import run as operation
from rollback_lib.ports import Once
from rollback_lib.releases import reading
from tests.fakes import FakeGit
from tests.pipeline.test_loop import SETTINGS, World, manifest

SECRET = b"---\napiVersion: v1\nkind: Secret\nmetadata: {name: cart}\nstringData: {a: b}\n"


class CountingGit(FakeGit):
    """Counts how often each file of a commit is read."""

    def __init__(self, releases: dict[str, Mapping[str, bytes]]) -> None:
        super().__init__(releases)
        self.read = Counter[tuple[str, str]]()

    def files(self, commit: str, prefixes: Sequence[str]) -> Mapping[str, bytes]:
        found = super().files(commit, prefixes)
        self.read.update((commit, path) for path in found)
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.git = CountingGit(made.git.releases)
    return made


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, bytes]]:
    """How often each text was parsed, by file and bytes."""
    counted = Counter[tuple[str, bytes]]()

    def counting(data: bytes, file: str) -> Source:
        counted[file, data] += 1
        return compose(data, file)

    for module in (manifest_objects, placeholders, splice):
        monkeypatch.setattr(module, "compose", counting)
    return counted


def run(world: World, settings: str = SETTINGS, **values: Any) -> int:
    store = world.run(**values)
    store.put(msgspec.structs.replace(store.get(Request), settings=model.load(settings)))
    outcome = operation.execute(store, world.ports())
    assert outcome.ending.code == 0, outcome.ending
    return sum(1 for s in outcome.plan.services for o in s.objects if o.change == "update") if outcome.plan else 0


def test_one_read_of_each_file_of_a_commit_in_a_process(world: World, parsed: Counter[tuple[str, bytes]]) -> None:
    assert run(world) == 2
    v1, v2 = world.git.commit("v1"), world.git.commit("v2")
    files = ("k8s/cart/d.yaml", "k8s/user/d.yaml")
    assert world.git.read == {(commit, file): 1 for commit in (v1, v2) for file in files}  # type: ignore[attr-defined]
    assert set(parsed.values()) == {1}
    texts = Counter(file for file, _ in parsed)  # of v1, of v2, and the rewritten one
    assert texts == dict.fromkeys(files, 3)


@pytest.mark.parametrize(
    ("settings", "cart", "more"),
    [
        (SETTINGS.replace('service}"}', 'service}", substitute: {LEVEL: v1}}', 1), manifest("cart", '"${LEVEL}"'), 1),
        (SETTINGS, manifest("cart", "v1") + SECRET, 1),
        (SETTINGS.replace("namespace: shop", "namespace: shop, overlay: {env: {EXTRA: x}}"), manifest("cart", "v1"), 1),
    ],
    ids=["a placeholder filled in", "a Secret left out", "variables merged"],
)
def test_what_a_file_becomes_is_parsed_once_more_and_no_oftener(
    world: World, parsed: Counter[tuple[str, bytes]], settings: str, cart: bytes, more: int
) -> None:
    world.git.releases["v1"] = {**world.git.releases["v1"], "k8s/cart/d.yaml": cart}
    run(world, settings)
    assert set(parsed.values()) == {1}
    assert Counter(file for file, _ in parsed)["k8s/cart/d.yaml"] == 3 + more
    assert set(world.git.read.values()) == {1}  # type: ignore[attr-defined]


def test_a_stage_in_a_process_of_its_own_reads_again(world: World, parsed: Counter[tuple[str, bytes]]) -> None:
    store = world.run()
    for stage in ("resolve", "images", "rewrite"):
        assert operation.one(store, world.ports(), stage).ending.code == 0
    of_target = {path: n for (commit, path), n in world.git.read.items() if commit == world.git.commit("v1")}  # type: ignore[attr-defined]
    assert of_target == {"k8s/cart/d.yaml": 3, "k8s/user/d.yaml": 3}


def test_a_file_that_does_not_read_is_refused_each_time_and_by_the_same_words() -> None:
    settings = model.load(SETTINGS)
    release = reading.Release("c", Files({"k8s/cart/d.yaml": b"a: {"}), settings, Once())
    said = []
    for _ in range(2):
        with pytest.raises(RefusedError) as refused:
            release.manifest("k8s/cart/d.yaml")
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_nothing_that_a_run_does_changes_what_others_have_read(world: World) -> None:
    store, ports = world.run(), world.ports()
    before = {
        ref: msgspec.json.encode(body)
        for v in ("v1", "v2")
        for ref, body in reading.contents(ports, model.load(SETTINGS), "shop", world.git.commit(v)).bodies().items()
    }
    assert operation.execute(store, ports).ending.code == 0
    after = {
        ref: msgspec.json.encode(body)
        for v in ("v1", "v2")
        for ref, body in reading.contents(ports, model.load(SETTINGS), "shop", world.git.commit(v)).bodies().items()
    }
    assert before == after


def test_who_asks_while_another_is_asking_waits_for_its_answer() -> None:
    once, asked, begun, go = Once(), [], threading.Event(), threading.Event()

    def ask() -> str:
        asked.append(1)
        begun.set()
        assert go.wait(10)
        return "answer"

    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(once.of("key", ask))) for _ in range(2)]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    go.set()
    for thread in threads:
        thread.join(10)
    assert (answers, asked) == (["answer", "answer"], [1])


def test_an_error_is_no_answer_for_those_who_come_later() -> None:
    once = Once()
    with pytest.raises(RefusedError):
        once.of("key", lambda: (_ for _ in ()).throw(RefusedError("no")))
    assert once.of("key", lambda: "yes") == "yes"
