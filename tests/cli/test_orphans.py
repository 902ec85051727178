"""What only the failed release had, by the whole command: gone where it began with that release, else named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollback_lib.adapters.git import GitRepository
from rollback_lib.sandbox.shop import BAD, GOOD
from tests.cli.desk import MORE, Desk
from tests.cli.desk import WORKER as CODE
from tests.command_line import Ended

ADDED = MORE[BAD]["k8s/user-service/added.yaml"]
SETTINGS, WORKER = "ConfigMap/user-added", "Deployment/user-worker"
RUN = ("run", "--to", GOOD, "--yes")


def planned(desk: Desk, *arguments: str) -> dict[str, tuple[str, str]]:
    """(fate, why) of each object that only the failed release has."""
    ended = desk.rollback("plan", "--to", GOOD, *arguments)
    assert ended.code == 0, ended
    found = json.loads((desk.runs()[-1] / "plan.json").read_text())["orphans"]
    return {f"{o['kind']}/{o['name']}": (o["change"], o["why"]) for o in found}


def stays(desk: Desk, why: str) -> None:
    """Neither goes, whatever is accepted, and both are named with the reason."""
    found = planned(desk, f"--accept={CODE}")
    assert [(name, fate) for name, (fate, _) in sorted(found.items())] == [(SETTINGS, "left"), (WORKER, "left")]
    assert all(why in said for _, said in found.values()), found


def tree(desk: Desk, release: str, change: Callable[[Desk], None], files: Mapping[str, str] | None = None) -> None:
    """Have the release's tag name a tree that also has what ``change`` puts into the index."""
    git = desk.playground.shop.git
    if files:
        desk.rewrite(release, files)
    git("checkout", "--quiet", "--detach", f"refs/tags/{release}")
    change(desk)
    git("commit", "--quiet", "--message=more")
    git("update-ref", f"refs/tags/{release}", "HEAD")
    git("checkout", "--quiet", "--force", "master")


def link(path: str, target: str) -> Callable[[Desk], None]:
    def change(desk: Desk) -> None:
        place = desk.playground.repository / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
        desk.playground.shop.git("add", "--", path)

    return change


def submodule(path: str) -> Callable[[Desk], None]:
    def change(desk: Desk) -> None:
        desk.playground.shop.git("update-index", "--add", "--cacheinfo", f"160000,{'ab' * 20},{path}")

    return change


def test_what_began_with_the_failed_release_goes_and_what_is_ready_only_with_its_code(desk: Desk) -> None:
    found = planned(desk)
    assert found[SETTINGS][0] == "delete"
    assert found[WORKER] == ("left", f"pods of it are Ready: it goes only with --accept {CODE}")
    assert planned(desk, f"--accept={CODE}") == dict.fromkeys(found, ("delete", found[SETTINGS][1]))


@pytest.mark.long
def test_what_stays_is_named_in_the_last_line_and_the_code_takes_it_away(desk: Desk) -> None:
    ended = desk.rollback(*RUN)
    assert ended.code == 0, ended
    assert f"Of the failed release {WORKER} stays." in ended.out.splitlines()[-1]
    assert WORKER in desk.objects()
    assert SETTINGS not in desk.objects()
    desk.put_back()
    ended = desk.rollback(*RUN, f"--accept={CODE}")
    assert (ended.code, "stay" in ended.out.splitlines()[-1]) == (0, False), ended
    assert not {WORKER, SETTINGS} & set(desk.objects())
    plan = json.loads((desk.runs()[-1] / "plan.json").read_text())
    assert CODE in plan["accepted"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("deploy/added.yaml", ADDED),
        ("k8s-old/user-service/settings/added.yaml", ADDED),
        ("k8s/user-service/added.yaml.tmpl", ADDED.replace("20", "{{ .Limit }}")),
        ("k8s/user-service/added.conf", "configName = 'user-added'\n"),
        ("base/kustomization.yaml", "configMapGenerator:\n- name: user-added\n  literals: [limit=20]\n"),
        ("charts/shop/values.json", '{"fullnameOverride":"user-added"}'),
    ],
    ids=["moved file", "renamed folder", "template", "another ending", "kustomization", "a chart's values"],
)
def test_what_the_target_names_in_another_file_stays(desk: Desk, path: str, text: str) -> None:
    desk.rewrite(GOOD, {path: text})
    found = planned(desk, f"--accept={CODE}")
    assert found == {
        SETTINGS: ("left", f"{path} of {GOOD} names it"), WORKER: ("delete", "only the failed release had it"),
    }  # fmt: skip


@pytest.fixture
def between(desk: Desk) -> Iterator[str]:
    """A release between the two, which has the settings that only the failed release has of these two."""
    git, name = desk.playground.shop.git, "v1.1.5"
    git("checkout", "--quiet", "--detach", f"refs/tags/{GOOD}")
    (desk.playground.repository / "k8s/user-service/added.yaml").write_text(ADDED)
    git("add", "--all")
    git("commit", "--quiet", "--message=between", date="2026-02-10T09:00:00+00:00")
    git("tag", name)
    git("checkout", "--quiet", "master")
    yield name
    git("tag", "--delete", name)


def test_what_the_release_before_the_failed_one_has_is_older_too(desk: Desk, between: str) -> None:
    assert planned(desk)[SETTINGS] == ("left", f"k8s/user-service/added.yaml of {between} names it")


@pytest.mark.parametrize("path", ["k8s/extra", "k8s/user-service/more", "k8s/user-service/added.yaml"])
def test_what_stands_behind_a_link_of_the_target_is_the_targets(desk: Desk, path: str) -> None:
    up = "../" * path.count("/")
    target = f"{up}base/added.yaml" if path.endswith(".yaml") else f"{up}base"
    tree(desk, GOOD, link(path, target), {"base/added.yaml": ADDED})
    assert set(planned(desk)) == {WORKER}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (submodule("charts/worker"), "charts/worker is a submodule"),
        (link("charts/worker", "../../worker"), "charts/worker is a link that leads out of the repository"),
    ],
    ids=["submodule", "link out"],
)
def test_where_the_target_cannot_be_read_whole_nothing_goes(
    desk: Desk, change: Callable[[Desk], None], why: str
) -> None:
    tree(desk, GOOD, change)
    stays(desk, why)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (submodule("k8s/order-service"), "k8s/order-service of v1.1.0 is a submodule"),
        (link("k8s/order-service", "/opt/order-service"), "is a link that leads out of the repository"),
        (link("k8s/order-service", "order-service"), "is a link that leads in a circle"),
    ],
    ids=["submodule", "link out", "circle"],
)
def test_manifests_of_the_target_that_cannot_be_read_are_a_refusal(
    desk: Desk, change: Callable[[Desk], None], said: str
) -> None:
    tree(desk, GOOD, change)
    ended = desk.rollback("plan", "--to", GOOD)
    assert ended.code == 3, ended
    assert said in " ".join((ended.out + ended.err).split())
    desk.settings("")
    text = (desk.playground.repository / "rollback.yaml").read_text()
    (desk.playground.repository / "rollback.yaml").write_text(
        text.replace("services:\n", "services:\n  ignore: [order-service]\n")
    )
    assert desk.rollback("plan", "--to", GOOD).code == 0, "that is the way out that it names"


def test_a_note_of_git_lfs_is_a_refusal(desk: Desk) -> None:
    note = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
    desk.rewrite(GOOD, {"k8s/order-service/all.yaml": note})
    ended = desk.rollback("plan", "--to", GOOD)
    assert ended.code == 3, ended
    assert "k8s/order-service/all.yaml of v1.1.0 is in Git LFS" in " ".join((ended.out + ended.err).split())


def test_on_the_word_of_a_failed_release_that_is_not_all_here_nothing_goes_or_comes(desk: Desk) -> None:
    tree(desk, BAD, submodule("k8s/order-service"))
    stays(desk, "k8s/order-service is a submodule")


@pytest.fixture
def day_before(desk: Desk) -> Iterator[Callable[[timedelta], None]]:
    """Sets the API server's clock back by so much."""
    store = desk.playground.cluster.store
    clock = store._now

    def back(by: timedelta) -> None:
        store._now = lambda: datetime.now(UTC) - by

    yield back
    store._now = clock


def made_again(desk: Desk, verb: str, text: str = ADDED) -> None:
    desk.playground.must("delete", "configmap", "user-added")
    desk.playground.must(verb, "--filename=-", given=text)


def test_what_was_made_by_hand_before_it_stood_in_git_stays(desk: Desk) -> None:
    made_again(desk, "create")
    desk.playground.must("apply", "--filename=-", given=ADDED)
    fate, why = planned(desk)[SETTINGS]
    assert (fate, why) == ("left", "kubectl-create made it, not `kubectl apply`")


@pytest.mark.parametrize("by", [timedelta(minutes=5), timedelta(days=3)])
@pytest.mark.parametrize("again", ["as it was", "changed"])
def test_what_is_older_than_the_failed_release_stays(
    desk: Desk, day_before: Callable[[timedelta], None], by: timedelta, again: str
) -> None:
    day_before(by)
    made_again(desk, "apply", ADDED if again == "as it was" else ADDED.replace("20", "1"))
    day_before(timedelta())
    desk.playground.must("apply", "--filename=-", given=ADDED)
    fate, why = planned(desk)[SETTINGS]
    assert (fate, why[:29]) == ("left", "it is older than v1.2.0: 2026"[:24] + why[24:29]), why


def test_the_targets_files_are_looked_through_only_where_something_would_go(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    whole = GitRepository.whole
    monkeypatch.setattr(GitRepository, "whole", lambda self, commit: asked.append(commit) or whole(self, commit))
    planned(desk)
    assert len(asked) == 1
    desk.rewrite(BAD, {"k8s/user-service/added.yaml": None, "k8s/user-service/worker.yaml": None})
    assert planned(desk) == {}
    assert len(asked) == 1


@pytest.mark.long
def test_undo_takes_away_what_the_run_created_without_any_of_this(desk: Desk) -> None:
    assert desk.rollback(*RUN).code == 0
    assert "ConfigMap/user-removed" in desk.objects()
    ended: Ended = desk.rollback("undo", desk.runs()[-1].name, "--yes")
    assert ended.code == 0, ended
    after: dict[str, Any] = desk.objects()
    assert "ConfigMap/user-removed" not in after
    assert SETTINGS in after
