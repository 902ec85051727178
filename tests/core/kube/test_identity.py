"""Objects and containers by one reference each: equal where they are one, apart where they are two."""

from __future__ import annotations

import pytest

from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.objects import image_ids, named_containers, named_images


@pytest.mark.parametrize("version", ["apps/v1", "apps/v1beta2", ""])
def test_an_object_of_a_kind_is_the_same_in_every_version_of_its_group(version: str) -> None:
    assert ObjectRef.of(version, "Deployment", "web") == ObjectRef("Deployment", "web")


@pytest.mark.parametrize(
    ("version", "kind"),
    [("crd.projectcalico.org/v1", "NetworkPolicy"), ("serving.knative.dev/v1", "Service"), ("batch/v1", "ConfigMap")],
)
def test_one_kind_in_two_groups_is_two_objects(version: str, kind: str) -> None:
    other = ObjectRef.of(version, kind, "web")
    assert other != ObjectRef(kind, "web")
    assert str(other) == f"{kind}.{version.partition('/')[0]}/web"


@pytest.mark.parametrize("text", ["Deployment/web", "NetworkPolicy.crd.projectcalico.org/web", "ConfigMap/kube.root"])
def test_the_text_of_a_reference_is_read_back(text: str) -> None:
    assert str(ObjectRef.parse(text)) == text


def test_an_init_container_is_another_one_than_a_container_of_its_name() -> None:
    web = ObjectRef("Deployment", "web")
    assert ContainerRef(web, "app", init=True) != ContainerRef(web, "app")
    assert str(ContainerRef(web, "app", init=True)) == "init container app of Deployment/web"


def test_what_a_pod_reports_has_the_reference_of_the_container_that_its_workload_names() -> None:
    spec = {
        "initContainers": [{"name": "wait"}], "containers": [{"name": "app"}],
        "volumes": [{"name": "app", "image": {"reference": "x:1"}}, {"name": "tmp", "emptyDir": {}}],
    }  # fmt: skip
    web = {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": spec}}}
    mount = {"name": "app", "volumeStatus": {"image": {"imageRef": "x@sha256:1"}}}
    app = {"name": "app", "imageID": "x", "volumeMounts": [mount, {"name": "tmp"}]}
    pod = {"status": {"containerStatuses": [app], "initContainerStatuses": [{"name": "wait"}]}}
    ref = ObjectRef("Deployment", "web")
    named = [ContainerRef(ref, "wait", init=True), ContainerRef(ref, "app")]
    assert [ref for ref, _ in named_containers(web)] == named
    volume = ContainerRef(ref, "app", volume=True)
    assert [ref for ref, _ in named_images(web)] == [*named, volume]
    assert image_ids(web, pod) == [(named[0], ""), (named[1], "x"), (volume, "x@sha256:1")]
    del app["volumeMounts"]  # as most servers answer
    assert image_ids(web, pod) == [(named[0], ""), (named[1], "x")]
    assert image_ids(web, {}) == []
