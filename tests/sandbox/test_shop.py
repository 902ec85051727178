"""The sample shop: a repository that our own git adapter and settings read, with what each scenario needs."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rollback_lib.adapters.git import GitRepository
from rollback_lib.cli import demo
from rollback_lib.core.settings import model as core_settings
from rollback_lib.operations import demo as story
from rollback_lib.sandbox import shop as sandbox_shop
from rollback_lib.sandbox.registry_store import ImageStore
from rollback_lib.sandbox.shop import AFFECTED, BAD, GOOD, RELEASES, SCENARIOS, SERVICES, GitError, Shop

URL = "http://127.0.0.1:1"
MakeShop = Callable[..., Shop]


@pytest.fixture
def make(tmp_path: Path) -> MakeShop:
    def make(scenario: str = "tag-overwritten", folder: str = "a") -> Shop:
        shop = Shop(tmp_path / folder, URL, SCENARIOS[scenario])
        shop.write()
        return shop

    return make


def image(store: ImageStore, service: str, tag: str) -> tuple[str, str] | None:
    found = store.resolve(f"sanjodb/{service}:{tag}")
    return (found.behaviour, found.version) if found else None


def test_the_tool_reads_the_releases_and_the_settings(make: MakeShop) -> None:
    shop = make()
    settings = core_settings.load((shop.repository / "rollback.yaml").read_bytes())
    assert settings.images.registries["docker.io"].url == URL
    assert (settings.environments["prod"].context, settings.environments["prod"].namespace) == ("sandbox", "ecommerce")
    git = GitRepository(shop.repository)
    try:
        assert sorted(tag.name for tag in git.tags()) == sorted(RELEASES)
    finally:
        git.close()


def test_the_same_shop_has_the_same_commits_whoever_writes_it(make: MakeShop, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(folder="a").git("rev-parse", "v1.2.0")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Someone Else")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "commit.gpgsign")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    assert make(folder="b").git("rev-parse", "v1.2.0") == first


def test_a_fresh_shop_is_clean(make: MakeShop) -> None:
    assert make().git("status", "--porcelain") == ""


def test_the_manifests_of_a_release_are_those_at_its_tag(make: MakeShop) -> None:
    objects = list(yaml.safe_load_all(make().manifests(GOOD)))
    assert objects[0]["kind"] == "ConfigMap"
    assert [o["metadata"]["name"] for o in objects if o["kind"] == "Deployment"] == sorted(SERVICES)
    assert [o["metadata"]["name"] for o in objects if o["kind"] == "Service"] == sorted(SERVICES)


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_names_the_one_tag_that_is_overwritten(make: MakeShop, release: str) -> None:
    objects = yaml.safe_load_all(make().manifests(release))
    deployments = [o for o in objects if o["kind"] == "Deployment"]
    named = {c["image"] for o in deployments for c in o["spec"]["template"]["spec"]["containers"]}
    assert named == {f"sanjodb/{service}:prod" for service in SERVICES}


def test_the_new_flag_came_with_the_bad_release(make: MakeShop) -> None:
    shop = make()
    assert ("NEW_FLAG" in shop.manifests(GOOD), "NEW_FLAG" in shop.manifests(BAD)) == (False, True)


def test_a_release_is_built_over_the_mutable_tag_and_under_its_own(make: MakeShop) -> None:
    shop, store = make(), ImageStore()
    shop.release(store, GOOD)
    shop.release(store, BAD)
    assert image(store, "user-service", "prod") == ("sick", BAD)
    assert image(store, "user-service", GOOD) == ("good", GOOD)


def test_a_configuration_release_changes_one_file_and_builds_nothing(make: MakeShop) -> None:
    shop, store = make("config-only"), ImageStore()
    assert shop.git("diff", "--name-only", GOOD, BAD, "--", "k8s").split() == ["k8s/common-config.yaml"]
    shop.release(store, GOOD)
    before = store.digest("sanjodb/user-service", "prod")
    shop.release(store, BAD)
    assert before == store.digest("sanjodb/user-service", "prod") == store.digest("sanjodb/user-service", BAD)


def test_a_missing_image_is_missing_for_one_service(make: MakeShop) -> None:
    shop, store = make("image-missing"), ImageStore()
    shop.release(store, GOOD)
    shop.release(store, BAD)
    shop.spoil(store)
    assert [service for service in SERVICES if image(store, service, GOOD) is None] == [AFFECTED]


def test_an_image_that_breaks_again_is_there_and_crashes(make: MakeShop) -> None:
    shop, store = make("verify-fails"), ImageStore()
    shop.release(store, GOOD)
    shop.release(store, BAD)
    shop.spoil(store)
    assert image(store, AFFECTED, GOOD) == ("crash", GOOD)
    assert image(store, "user-service", GOOD) == ("good", GOOD)


def test_only_the_patched_scenario_has_hand_made_changes(make: MakeShop) -> None:
    made = {name: Shop(Path("x"), URL, scenario).hand_made_changes() for name, scenario in SCENARIOS.items()}
    assert [name for name, changes in made.items() if changes] == ["leftover-sidecar"]


def test_a_machine_without_git_is_told_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git-scm"):
        Shop(tmp_path / "shop", URL).write()


def test_a_git_that_fails_is_quoted(make: MakeShop) -> None:
    with pytest.raises(GitError, match="v9"):
        make().git("show", "v9")


def test_the_shop_needs_no_configuration_of_the_machine(make: MakeShop) -> None:
    shop = make()
    assert subprocess.run(("git", "-C", str(shop.repository), "fsck"), capture_output=True, check=False).returncode == 0
    assert sandbox_shop.NAMESPACE in shop.settings()


def test_the_command_offers_the_scenarios_that_there_are() -> None:
    assert tuple(SCENARIOS) == demo.SCENARIOS
    assert (GOOD, BAD) == (story.GOOD, story.BAD)
