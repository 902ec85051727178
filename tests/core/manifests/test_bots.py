"""Programs that write images by themselves, by their marks."""

from __future__ import annotations

import pytest

from rollback_lib.core.manifests import bots
from rollback_lib.core.manifests.bots import Bot
from rollback_lib.core.manifests.manifest_objects import parse

HEAD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      - name: web
"""


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('image: x:prod # {"$imagepolicy": "flux-system:x"}', "Flux's image automation (flux-system:x)"),
        ('image: "x:prod" #{"$imagepolicy": "team:y:tag"}', "Flux's image automation (team:y:tag)"),
        ("# renovate: datasource=docker\n        image: x:1", "Renovate (datasource=docker)"),
        ("image: x:1 # x-release-please-version", "release-please (x-release-please-version)"),
    ],
)
def test_marks_in_comments(line: str, name: str) -> None:
    text = HEAD + f"        {line}\n"
    number = next(n for n, one in enumerate(text.splitlines(), 1) if "image: " in one)
    for data in (text, text.replace("\n", "\r\n"), text.rstrip()):
        assert list(bots.in_file(parse(data.encode(), "k.yaml"))) == [Bot(name, f"k.yaml:{number}")]


@pytest.mark.parametrize(
    "line", ["image: x:prod # the tag of Renovate", 'image: x:prod # "$imagepolicy"', "image: x:1"]
)
def test_comments_that_are_no_marks(line: str) -> None:
    assert list(bots.in_file(parse(f"# {{}}\n{HEAD}        {line}\n".encode(), "k.yaml"))) == []


def test_a_mark_below_the_image_is_another_ones() -> None:
    text = HEAD + '        image: x:prod\n        # {"$imagepolicy": "a:b"}\n        args: []\n'
    assert list(bots.in_file(parse(text.encode(), "k.yaml"))) == []


@pytest.mark.parametrize(
    ("where", "key", "value", "name"),
    [
        ("annotations", "keel.sh/policy", "minor", "Keel"),
        ("labels", "keel.sh/policy", "all", "Keel"),
        ("annotations", "image.openshift.io/triggers", '[{"from":{}}]', "OpenShift's image triggers"),
        ("annotations", "argocd-image-updater.argoproj.io/image-list", "x", "Argo CD Image Updater"),
        ("annotations", "keel.sh/policy", "never", ""),
        ("annotations", "fluxcd.io/automated", "false", ""),
        ("annotations", "keel.sh.example/policy", "minor", ""),
    ],
)
def test_marks_on_objects(where: str, key: str, value: str, name: str) -> None:
    made = {"kind": "Deployment", "metadata": {"name": "web", where: {key: value}}, "spec": {"template": {}}}
    assert [b.name for b in bots.on_object(made)] == ([name] if name else [])


def test_one_sentence_however_many_there_are() -> None:
    assert bots.warning(()) == ""
    one = [Bot("Keel", f"Deployment/{n}") for n in "abcd"]
    assert bots.warning(one).startswith("Keel writes images by itself (Deployment/a, Deployment/b and 2 more):")
    assert bots.warning([*one, Bot("Renovate", "x:1")]).startswith("Keel, Renovate write images by themselves (")
