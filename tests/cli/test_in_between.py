"""Files that another tool fills in on their way to the cluster: real values are not overwritten with what it reads."""

from __future__ import annotations

import json

import pytest

from rollback_lib.sandbox.shop import BAD, GOOD
from tests.cli.desk import Desk

DEPLOYMENT, SETTINGS = "k8s/user-service/deployment.yaml", "k8s/user-service/settings.yaml"
TOKENS = {"<path:secret/shop#password>": "s3cr3t-real", "#{LIMIT}#": "77"}
KEEP = ("--accept=keep:Deployment/user-service", "--accept=keep:ConfigMap/user-settings")


def filled_in(desk: Desk) -> None:
    """Both releases have the tokens, and a deploy of v1.2.0 has put the real values in their places."""
    for release, limit in ((GOOD, "10"), (BAD, "20")):
        env = '        env:\n        - name: DB_PASSWORD\n          value: "<path:secret/shop#password>"\n'
        settings = desk.file(release, SETTINGS).replace(f"{{limit: '{limit}'}}", "{limit: '#{LIMIT}#', of: x}")
        desk.rewrite(release, {
            DEPLOYMENT: desk.file(release, DEPLOYMENT).replace("        env:\n", env),
            SETTINGS: settings.replace("of: x", f"of: '{release}'"),
        })  # fmt: skip
    text = desk.playground.shop.manifests(BAD)
    for token, value in TOKENS.items():
        text = text.replace(token, value)
    desk.playground.must("apply", "--filename=-", given=text)
    desk.playground.must(*desk.playground.rollout_status)


def real(desk: Desk) -> tuple[str, str, str]:
    env = desk.live("deployment", "user-service")["spec"]["template"]["spec"]["containers"][0]["env"]
    data = desk.live("configmap", "user-settings")["data"]
    return next(e["value"] for e in env if e["name"] == "DB_PASSWORD"), data["limit"], data["of"]


@pytest.mark.long
def test_what_something_filled_in_is_refused_with_its_place_and_stays_where_that_is_accepted(desk: Desk) -> None:
    filled_in(desk)
    ended = desk.rollback("run", "--to", GOOD, "--yes")
    assert ended.code == 3, ended
    said = " ".join((ended.out + ended.err).split())
    line = next(i for i, one in enumerate(desk.file(GOOD, DEPLOYMENT).splitlines(), 1) if "<path:" in one)
    assert f"{DEPLOYMENT}:{line}" in said
    assert f"{SETTINGS}:4" in said
    assert "s3cr3t-real" not in said
    codes = {r["code"] for r in json.loads((desk.runs()[-1] / "plan.json").read_text())["refusals"]}
    assert codes == {"keep:Deployment/user-service", "keep:ConfigMap/user-settings"}
    assert real(desk) == (*TOKENS.values(), BAD)
    ended = desk.rollback("run", "--to", GOOD, "--yes", *KEEP)
    assert ended.code == 0, ended
    assert real(desk) == (*TOKENS.values(), GOOD), "all else is the target's"
    for path in (DEPLOYMENT, SETTINGS):
        text = (desk.runs()[-1] / "manifests" / path).read_text()
        assert not any(token in text for token in TOKENS), "what is applied is what stands there"
    again = desk.rollback("run", "--to", GOOD, "--yes", *KEEP)
    assert "Nothing to do" in again.out.splitlines()[-1]


@pytest.mark.long
def test_the_overlay_hand_edits_and_an_earlier_rollback_are_no_such_tool(desk: Desk) -> None:
    desk.settings()
    config = desk.playground.repository / "rollback.yaml"
    config.write_text(config.read_text().replace(
        "namespace: ", "overlay: {env: {SPRING_PROFILES_ACTIVE: stage}}\n    namespace: ", 1
    ))  # fmt: skip
    desk.playground.must("set", "env", "deployment/user-service", "SPRING_PROFILES_ACTIVE=stage", "LEVEL=by-hand")
    desk.playground.must("patch", "configmap", "user-settings", "--patch", '{"data": {"limit": "99"}}')
    desk.playground.must(*desk.playground.rollout_status)
    for release in (GOOD, BAD, GOOD):
        ended = desk.rollback("run", "--to", release, "--yes", "--accept=quarantined")
        assert ended.code == 0, ended
        assert "keep:" not in ended.out


@pytest.mark.long
def test_a_later_release_whose_configuration_alone_arrived_is_no_such_tool(desk: Desk) -> None:
    """Its pods are unchanged, so none was started: the images go on telling the release before it."""
    play = desk.playground
    same = {f"k8s/{s}/deployment.yaml": desk.file(GOOD, f"k8s/{s}/deployment.yaml") for s in play.shop.services}
    desk.rewrite(BAD, {**same, SETTINGS: desk.file(BAD, SETTINGS).replace("limit:", "limit: '30', was:")})
    play.deploy(GOOD)
    play.shop.release(play.registry, BAD)
    play.apply(BAD)
    assert desk.live("configmap", "user-settings")["data"]["limit"] == "30"
    ended = desk.rollback("run", "--to", GOOD, "--yes")
    assert ended.code == 0, ended
    assert desk.live("configmap", "user-settings")["data"] == {"limit": "10"}
