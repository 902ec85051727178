"""A commit read as a checkout shows it: links, submodules, Git LFS, and every text that may name an object."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from rollback_lib.adapters import git
from rollback_lib.adapters.git import GitRepository
from rollback_lib.adapters.git_program import GitProgram
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.manifests import tree
from tests.git_repository import RepositoryBuilder, isolate

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"


@pytest.fixture(autouse=True)
def _no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.fixture
def shop(tmp_path: Path) -> RepositoryBuilder:
    made = RepositoryBuilder(tmp_path / "shop")
    made.write({"base/order/deploy.yaml": "kind: order\n", "base/order/NOTES": "", "k8s/user/deploy.yaml": "kind: u\n"})
    return made


def link(shop: RepositoryBuilder, name: str, target: str) -> None:
    place = shop.folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


def read(shop: RepositoryBuilder, *prefixes: str) -> tree.Files:
    return GitRepository(shop.folder).tree(shop.commit(), prefixes or ("k8s",))


def whys(found: tree.Files) -> dict[str, str]:
    return {u.path: u.why for u in found.unread}


def test_a_linked_folder_holds_the_files_that_it_stands_for(shop: RepositoryBuilder) -> None:
    link(shop, "k8s/order", "../base/order")
    found = read(shop)
    assert found.texts == {"k8s/order/deploy.yaml": b"kind: order\n", "k8s/user/deploy.yaml": b"kind: u\n"}
    assert found.links == {"k8s/order/deploy.yaml": "base/order/deploy.yaml"}
    assert found.unread == ()


@pytest.mark.parametrize(
    ("links", "prefix", "name"),
    [
        ({"k8s/order": "./again//order", "k8s/again": "../base/.", "base/order/more": "../more"}, "k8s",
         "k8s/order/deploy.yaml"),
        ({"deploy": "base"}, "deploy/order", "deploy/order/deploy.yaml"),
        ({"deploy": "base"}, "deploy/order/deploy.yaml", "deploy/order/deploy.yaml"),
        ({"k8s/order.yaml": "../base/order/deploy.yaml"}, "k8s", "k8s/order.yaml"),
        ({"here": "k8s", "k8s/order": "../base/order"}, "here", "here/order/deploy.yaml"),
    ],
    ids=["over another link", "above the path", "above the very file", "a file", "two on the way"],
)  # fmt: skip
def test_links_are_followed_wherever_they_stand(
    shop: RepositoryBuilder, links: dict[str, str], prefix: str, name: str
) -> None:
    for place, target in links.items():
        link(shop, place, target)
    found = read(shop, prefix)
    assert found.texts[name] == b"kind: order\n"
    assert GitRepository(shop.folder).files(shop.commit(), [name]) == {name: b"kind: order\n"}


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/opt/order", "leads out of the repository"),
        ("../../order", "leads out of the repository"),
        ("order", "in a circle"),
        ("..", "leads back to where it is"),
        ("../gone", "names nothing"),
        ("user/deploy.yaml/x", "names nothing"),
    ],
)
def test_a_link_that_cannot_be_followed_is_said(shop: RepositoryBuilder, target: str, why: str) -> None:
    link(shop, "k8s/order", target)
    found = read(shop)
    assert list(found.texts) == ["k8s/user/deploy.yaml"]
    assert why in whys(found)["k8s/order"]


def test_a_chain_of_links_has_an_end(shop: RepositoryBuilder) -> None:
    for number in range(tree.MOST_HOPS + 1):
        link(shop, f"l{number}", f"l{number + 1}" if number < tree.MOST_HOPS else "base/order")
    link(shop, "k8s/order", "../l2")
    assert "k8s/order/deploy.yaml" in read(shop).texts
    link(shop, "k8s/far", "../l1")
    assert f"over more than {tree.MOST_HOPS} others" in whys(read(shop))["k8s/far"]


@pytest.mark.parametrize(("place", "prefix"), [("k8s/order", "k8s"), ("k8s", "k8s/order"), ("base/x", "k8s")])
def test_a_submodule_is_not_an_empty_folder(shop: RepositoryBuilder, place: str, prefix: str) -> None:
    """Below the path, above it, and behind a link."""
    shop.commit()
    if place == "k8s":
        shop.git("rm", "-r", "--quiet", "k8s")
    if place == "base/x":
        link(shop, "k8s/order", "../base/x")
        shop.git("add", "--all")
    shop.git("update-index", "--add", "--cacheinfo", f"160000,{'ab' * 20},{place}")
    shop.git("commit", "--quiet", "--message=submodule")
    repository = GitRepository(shop.folder)
    found = repository.tree(repository.head_commit(), [prefix])
    assert [u.why for u in found.unread] == [tree.submodule("").why]
    with pytest.raises(RefusedError, match="is a submodule") as refused:
        repository.files(repository.head_commit(), [prefix])
    assert "services.ignore" in refused.value.refusals[0].fix


def test_a_note_of_git_lfs_is_not_a_manifest(shop: RepositoryBuilder) -> None:
    shop.write({"k8s/order/deploy.yaml": POINTER, "k8s/order/README.md": POINTER})
    found = read(shop)
    assert {path: "Git LFS" in why for path, why in whys(found).items()} == {"k8s/order/deploy.yaml": True}


def test_every_text_of_a_commit_is_read_by_two_processes_and_nothing_that_is_large_anyway(
    shop: RepositoryBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write({"deploy/api.yaml.tmpl": "name: api\n", "logo.PNG": b"\0" * 4096, "ñ.txt": "name: ñ\n"})
    commit = shop.commit()
    repository = GitRepository(shop.folder)
    started: list[str] = []
    run = GitProgram.run
    monkeypatch.setattr(GitProgram, "run", lambda self, *a, **more: started.append(a[0]) or run(self, *a, **more))
    found = repository.whole(commit)
    assert found.texts["deploy/api.yaml.tmpl"] == b"name: api\n"
    assert "ñ.txt" in found.texts
    assert "logo.PNG" not in found.texts
    assert started == ["ls-tree", "cat-file"]
    monkeypatch.setattr(git.trees, "MOST_BYTES", 20)
    with pytest.raises(RefusedError, match=re.escape("MiB of text")):
        repository.whole(commit)


def test_what_lies_outside_of_the_repository_is_said_of_the_whole_tree_too(shop: RepositoryBuilder) -> None:
    link(shop, "charts/order", "/opt/order")
    shop.write({"charts/values.yaml": POINTER})
    found = GitRepository(shop.folder).whole(shop.commit())
    assert set(whys(found)) == {"charts/order", "charts/values.yaml"}


def test_nothing_is_fetched_to_look_for_a_name_nor_for_anything_else(shop: RepositoryBuilder, tmp_path: Path) -> None:
    commit = shop.commit()
    clone = shop.clone(tmp_path / "partial", "--filter=blob:none", "--no-checkout")
    repository = GitRepository(clone.folder)
    with pytest.raises(RefusedError, match="lacks objects"):
        repository.whole(commit)
    with pytest.raises(RefusedError, match="lacks objects"):
        repository.files(commit, ["k8s"])
