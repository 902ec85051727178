"""A reference is an object and a key in it: what pods need and no object has is refused before the first write."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollback_lib.core.plan.model import Plan
from rollback_lib.operations import run as operation
from tests.pipeline.test_loop import World, manifest

ENV = "        - {{name: LIMIT, valueFrom: {{{field}: {{name: {name}, key: {key}{more}}}}}}}\n"
VOLUME = "      volumes: [{{name: cfg, {source}}}]\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """cart's settings have the key `limit`, live and in both releases."""
    made = World(tmp_path)
    made.cluster.put(config(limit="1"))
    for version in ("v1", "v2"):
        settings(made, version, "limit: '1'")
    return made


def config(kind: str = "ConfigMap", **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "settings"}, "data": data}


def settings(world: World, version: str, data: str) -> None:
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{{data}}}\n".encode()
    world.git.releases[version] = {**world.git.releases[version], "k8s/cart/settings.yaml": text}


def env(key: str, more: str = "", field: str = "configMapKeyRef") -> str:
    return ENV.format(name="settings", key=key, more=more, field=field)


def needs(world: World, more: str, version: str = "v1") -> None:
    """cart's Deployment of the release needs this beside what it has."""
    text = manifest("cart", version).decode()
    at = "        env: [{name: LEVEL, value: " + version + "}]\n"
    assert at in text
    own = f"        env:\n        - {{name: LEVEL, value: {version}}}\n"
    body = text.replace(at, own) + more  # a variable goes on where the last container's end
    world.git.releases[version] = {**world.git.releases[version], "k8s/cart/d.yaml": body.encode()}


def refused(world: World) -> list[tuple[str, str]]:
    run = world.run(f"looks-{len(list(world.folder.iterdir()))}", dry_run=True)
    operation.plan(run, world.ports())
    return [(r.code, r.text) for r in run.get(Plan).refusals]


SOURCES = {
    "env": env("gone"),
    "volume": VOLUME.format(source="configMap: {name: settings, items: [{key: gone, path: a}]}"),
    "projected": VOLUME.format(
        source="projected: {sources: [{configMap: {name: settings, items: [{key: gone, path: a}]}}]}"
    ),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_key_that_no_config_map_has_is_refused_with_who_needs_it(world: World, source: str) -> None:
    needs(world, source)
    found = refused(world)
    assert [code for code, _ in found] == ["missing-reference:settings"]
    ((code, text),) = found
    assert text.startswith("ConfigMap settings lacks the key gone, which Deployment/cart (")
    assert ("variable LIMIT of container cart" in text) or ("volume cfg" in text)
    assert operation.execute(world.run("all-the-same", accept=[code]), world.ports()).ending.code == 0


def test_an_init_container_needs_its_keys_too(world: World) -> None:
    needs(
        world,
        "      initContainers: [{name: first, image: 'team/cart:prod', env: [" + env("gone").strip()[2:] + "]}]\n",
    )
    assert "variable LIMIT of container first" in refused(world)[0][1]


def test_the_config_map_counts_as_it_will_be(world: World) -> None:
    settings(world, "v1", "limit: '1', fresh: 'x'")  # the target brings the key back
    needs(world, env("fresh"))
    assert refused(world) == []
    settings(world, "v1", "other: 'x'")  # and this one takes it away
    needs(world, env("limit"))
    assert [code for code, _ in refused(world)] == ["missing-reference:settings"]


def test_one_that_the_plan_creates_counts(world: World) -> None:
    del world.cluster.objects["ConfigMap", "settings"]
    world.git.releases["v2"] = {k: v for k, v in world.git.releases["v2"].items() if "settings" not in k}
    needs(world, env("limit"))
    assert refused(world) == []
    needs(world, env("gone"))
    assert [code for code, _ in refused(world)] == ["missing-reference:settings"]


@pytest.mark.parametrize(
    "source",
    [env("gone", ", optional: true"),
     VOLUME.format(source="configMap: {name: settings, optional: true, items: [{key: gone, path: a}]}"),
     VOLUME.format(source="configMap: {name: settings}")],
    ids=["variable", "volume", "all-of-it"],
)  # fmt: skip
def test_what_may_be_absent_is_no_reference(world: World, source: str) -> None:
    needs(world, source)
    assert refused(world) == []


def test_a_secret_s_keys_are_looked_at_where_it_may_be_read_and_else_that_is_said(world: World) -> None:
    world.cluster.put(config("Secret", token="czNjcmV0"))
    needs(world, env("gone", field="secretKeyRef"))
    ((code, text),) = refused(world)
    assert (code, "Secret settings lacks the key gone" in text) == ("missing-reference:settings", True)
    world.cluster.unreadable.add("Secret")
    run = world.run("unreadable", dry_run=True)
    assert operation.plan(run, world.ports()).ending.code == 0
    said = [w for w in run.get(Plan).warnings if "not looked at" in w]
    assert said == ["The keys of Secret settings were not looked at, which we may not read: gone for Deployment/cart "
                    "(variable LIMIT of container cart)."]  # fmt: skip
    assert not any(b"czNjcmV0" in p.read_bytes() for p in world.folder.rglob("*") if p.is_file())
