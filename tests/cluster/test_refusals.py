"""What is refused, on a real cluster: exit 3 with the reason, nothing changed, nothing even tried.

The shop is deployed once as v1.1.0 and once as v1.2.0; whatever only has to be refused is asked of that one. Variants
of a release are tags of their own, older than v1.1.0, whose images are those of v1.1.0.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.cluster import images
from tests.cluster.cluster import Cluster
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import Shop, deployment
from tests.cluster.untouched import untouched
from tests.command_line import Ended
from tests.fake_registry import FakeRegistry, closed_port

SERVICES = ("order-service", "user-service")
ORDER, USER = SERVICES

# The least that a run needs, as a Role of the namespace. Measured: take one verb away and the run is refused. Reading
# is by list, which `resourceNames` cannot limit; writing can be limited to the names of the team's own objects.
READS: list[dict[str, list[str]]] = [
    {"apiGroups": [""], "resources": ["pods", "configmaps", "services"], "verbs": ["get", "list"]},
    {
        "apiGroups": ["apps"],
        "resources": ["deployments", "statefulsets", "daemonsets", "replicasets"],
        "verbs": ["get", "list"],
    },
]


@pytest.fixture(scope="module")
def failed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop after v1.2.0. Tests that use it leave it as it is, which each of them proves."""
    with cluster.namespace() as namespace:
        shop = Shop(cluster, namespace, tmp_path_factory.mktemp("refusals"), services=SERVICES)
        shop.write_repo()
        shop.deploy("v1.1.0")
        shop.deploy("v1.2.0")
        shop.wait_ready()
        shop.rollback_yaml()
        yield shop


def refused(
    shop: Shop, *arguments: str, to: str = "v1.1.0", user: str = "operator", code: int = 3, traffic: str = "open."
) -> str:
    """The run is refused, and the shop is untouched. What was said on the way."""
    product = Product(shop, user=user)
    with untouched(shop.cluster, shop.namespace, user=user):
        ended = product.run(*arguments, to=to, code=code)
    begins = {2: "The request is wrong (2).", 3: "Refused (3)."}[code]
    assert ended.last_line.startswith(f"{begins} Nothing was changed; traffic is {traffic}"), ended
    return flat(ended)


def flat(ended: Ended) -> str:
    """Everything that was said, on one line: how it is wrapped for a terminal is not what these tests are about."""
    print(ended)  # pytest shows it for a failed test only
    return " ".join((ended.err + " " + ended.out).split())


def variant(shop: Shop, release: str, change: Callable[[dict[str, str]], None]) -> str:
    """One more release, older than v1.1.0 and with its images, whose manifests differ. Returns its tag."""
    files = {
        name: shop.git("show", f"v1.1.0:{name}")
        for name in shop.git("ls-tree", "-r", "--name-only", "v1.1.0", "--", "k8s").split()
    }
    changed = dict(files)
    change(changed)
    shop.commit(
        {n: t for n, t in changed.items() if files.get(n) != t}, release, date="2026-01-20T09:00:00+00:00", tag=release
    )
    shop.commit(files, "as it was", date="2026-01-20T09:00:01+00:00")
    for service in shop.services:
        digest = shop.digests["v1.1.0"][service]
        images.tag_as(shop.cluster.registry_url, f"{shop.organization}/{service}", digest, release)
    return release


def edit(service: str, old: str, new: str) -> Callable[[dict[str, str]], None]:
    """Change the text of one service's Deployment."""

    def change(files: dict[str, str]) -> None:
        name = f"k8s/{service}/deployment.yaml"
        assert old in files[name]
        files[name] = files[name].replace(old, new)

    return change


@contextmanager
def asking(shop: Shop, url: str) -> Iterator[None]:
    """Settings by which we ask another registry than the node does."""
    repository = f"{shop.organization}/{{service}}"
    shop.rollback_yaml({"images": {"repository": repository, "registries": {"docker.io": {"url": url}}}})
    try:
        yield
    finally:
        shop.rollback_yaml()


@contextmanager
def live(shop: Shop, do: str, undo: str) -> Iterator[None]:
    """What somebody did to the live objects by kubectl, taken back afterwards."""
    shop.cluster.kubectl(*do.split(), namespace=shop.namespace)
    try:
        yield
    finally:
        shop.cluster.kubectl(*undo.split(), namespace=shop.namespace)


# -- images and registries


def test_an_image_that_is_nowhere_at_the_release(failed: Shop) -> None:
    said = refused(failed, to="v1.0.0")
    for service in SERVICES:
        assert f"{failed.organization}/{service}:v1.0.0" in said
    assert "404" in said
    assert "[--accept" not in said  # nothing makes an image that is nowhere acceptable


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_registry_that_cannot_tell(failed: Shop, status: int) -> None:
    with FakeRegistry() as registry:
        registry.mood(status)
        with asking(failed, registry.url):
            said = refused(failed)
            assert str(status) in said
            assert "[--accept registry-unknown]" in said
            with untouched(failed.cluster, failed.namespace):
                plan = Product(failed).plan("--accept=registry-unknown")
    assert plan.data["accepted"] == ["registry-unknown"]
    assert plan.changes[f"Deployment/{USER}"] == "update"


def test_a_registry_that_does_not_answer_at_all(failed: Shop) -> None:
    with asking(failed, f"http://127.0.0.1:{closed_port()}"):
        said = refused(failed)
    assert "[--accept registry-unknown]" in said
    assert "refused" in said  # the connection was: that is what a person has to look into


def test_with_registry_unknown_accepted_the_run_goes_through(shop: ShopFactory) -> None:
    made = shop(services=[USER])
    made.deploy("v1.1.0")
    made.deploy("v1.2.0")
    made.wait_ready()
    with FakeRegistry() as registry:
        registry.mood(503)
        made.rollback_yaml()
        with asking(made, registry.url):
            said = flat(Product(made).run("--accept=registry-unknown"))
    assert made.served(USER) == "v1.1.0"
    assert "registry-unknown" in said


def test_bits_that_lie_on_the_nodes_need_no_registry(shop: ShopFactory) -> None:
    """Two ways to know them: the release pins a digest that pods run, or pods run the image by its release tag."""
    made = shop(services=SERVICES)
    made.deploy("v1.1.0")
    made.wait_ready()
    pinned = f"{made.organization}/{ORDER}@{made.digests['v1.1.0'][ORDER]}"
    manifest = deployment(made, "v1.1.0", ORDER).replace(made.image(ORDER), pinned)
    made.commit({f"k8s/{ORDER}/deployment.yaml": manifest}, "Pin", date="2026-02-03T09:00:00+00:00", tag="v1.1.1")
    by_tag = made.image(USER, "v1.1.1")
    images.tag_as(made.cluster.registry_url, f"{made.organization}/{USER}", made.digests["v1.1.0"][USER], "v1.1.1")
    made.cluster.kubectl("set", "image", f"deployment/{USER}", f"{USER}={by_tag}", namespace=made.namespace)
    made.wait_ready()
    made.cluster.kubectl("set", "env", "deployment", "--all", "NEW_FLAG=on", namespace=made.namespace)
    made.wait_ready()
    made.rollback_yaml()
    with asking(made, f"http://127.0.0.1:{closed_port()}"):
        said = flat(Product(made).run(to="v1.1.1"))
    assert "the registry cannot tell, but nodes have this digest" in said
    assert made.served_all() == dict.fromkeys(SERVICES, "v1.1.0")


# -- what to go back to


def test_a_release_that_does_not_exist(failed: Shop) -> None:
    said = refused(failed, to="v1.1.00")
    assert "There is no tag v1.1.00" in said
    assert "Did you mean v1.1.0" in said


def test_a_target_that_nothing_proves(failed: Shop) -> None:
    """Without a ledger, `last-good` can only propose: `plan` shows the proposal, `run` wants it said."""
    product = Product(failed)
    with untouched(failed.cluster, failed.namespace):
        plan = product("plan", code=0)
        ended = product("run", "--yes", code=3)
    assert "→ v1.1.0" in plan.out
    said = flat(ended)
    assert "[--accept unproven-target]" in said
    assert "--to" in said


# -- the cluster and what we may do there


def test_a_context_that_the_kubeconfig_does_not_have(failed: Shop) -> None:
    failed.rollback_yaml({"environments": {"prod": {"context": "gke-prod", "namespace": failed.namespace}}})
    try:
        said = refused(failed, code=2, traffic="unknown: ")
    finally:
        failed.rollback_yaml()
    assert "gke-prod; it has test" in said
    assert "kubectl config get-contexts" in said


@pytest.mark.parametrize("user", ["operator", "admin"])
def test_a_namespace_that_does_not_exist(failed: Shop, user: str) -> None:
    """Who may not look beyond a namespace of his own is told no more than "forbidden" about any other."""
    failed.rollback_yaml({"environments": {"prod": {"context": "test", "namespace": "no-such-shop"}}})
    try:
        said = refused(failed, user=user, traffic="unknown: " if user == "operator" else "")
    finally:
        failed.rollback_yaml()
    assert "no-such-shop" in said
    assert "does not exist" in said


def test_a_role_that_may_only_read(failed: Shop) -> None:
    failed.cluster.grant("smallrole", failed.namespace, [*READS, NAMESPACE])
    said = refused(failed, user="smallrole", traffic="open (Ingress, HTTPRoute not looked at).")
    assert f"we may not patch deployments/{USER}" in said
    assert f"[--accept permission:{USER}]" in said


NAMESPACE = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}


def test_a_role_limited_to_names_suffices(shop: ShopFactory) -> None:
    made = shop(services=[USER])
    made.deploy("v1.1.0")
    made.deploy("v1.2.0")
    made.wait_ready()
    made.rollback_yaml()
    made.cluster.grant("named", made.namespace, least_rights(made))
    Product(made, user="named").run()
    assert made.served(USER) == "v1.1.0"


def least_rights(shop: Shop) -> list[Mapping[str, list[str]]]:
    names = list(shop.services)
    return [
        *READS,
        {**NAMESPACE, "resourceNames": [shop.namespace]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": names, "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["services"], "resourceNames": names, "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["common-config"], "verbs": ["patch"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["rollback-ecommerce"],
            "verbs": ["get", "update", "delete"],
        },
    ]


# -- what the release's manifests ask for


def test_objects_that_the_release_names_and_nobody_has(failed: Shop) -> None:
    reference = """\
        envFrom:
        - secretRef:
            name: payment-key
        - configMapRef:
            name: payment-config
"""
    change = edit(USER, "        envFrom:\n", reference)
    account = edit(USER, "    spec:\n      term", "    spec:\n      serviceAccountName: payments\n      term")

    def both(files: dict[str, str]) -> None:
        change(files)
        account(files)

    release = variant(failed, "v1.0.1", both)
    said = refused(failed, to=release)
    for kind, name in (("Secret", "payment-key"), ("ConfigMap", "payment-config"), ("ServiceAccount", "payments")):
        assert f"{kind} {name} is missing" in said
        assert f"[--accept missing-reference:{name}]" in said
    accepted = [f"--accept=missing-reference:{name}" for name in ("payment-key", "payment-config", "payments")]
    assert "Secret payment-key is missing" in refused(failed, *accepted[1:], to=release)
    with untouched(failed.cluster, failed.namespace):
        plan = Product(failed).plan(*accepted, to=release)
    assert plan.changes[f"Deployment/{USER}"] == "update"


def test_an_immutable_selector_and_the_rest_without_it(shop: ShopFactory) -> None:
    made = shop(services=SERVICES)
    made.deploy("v1.1.0")
    made.deploy("v1.2.0")
    made.wait_ready()
    made.rollback_yaml()
    old = f"    matchLabels:\n      app: {USER}\n"
    labels = f"      labels:\n        app: {USER}\n"

    def change(files: dict[str, str]) -> None:
        edit(USER, old, old + "      track: stable\n")(files)
        edit(USER, labels, labels + "        track: stable\n")(files)

    release = variant(made, "v1.0.1", change)
    said = refused(made, to=release)
    assert "immutable" in said
    assert f"[--accept recreate:Deployment/{USER}]" in said
    assert f"Or leave it as it is: --accept skip:Deployment/{USER}." in said
    before = made.cluster.get("deployment", USER, namespace=made.namespace)["spec"]
    Product(made).run(f"--accept=skip:Deployment/{USER}", to=release)
    assert made.served_all() == {ORDER: "v1.1.0", USER: "v1.2.0"}
    assert made.cluster.get("deployment", USER, namespace=made.namespace)["spec"] == before


def test_an_api_version_that_the_cluster_does_not_serve_any_more(failed: Shop) -> None:
    def change(files: dict[str, str]) -> None:
        files[f"k8s/{USER}/budget.yaml"] = json.dumps(
            {
                "apiVersion": "policy/v1beta1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": USER},
                "spec": {"minAvailable": 0, "selector": {"matchLabels": {"app": USER}}},
            }
        )

    release = variant(failed, "v1.0.2", change)
    said = refused(failed, to=release)
    assert f"k8s/{USER}/budget.yaml" in said
    assert "policy/v1beta1 PodDisruptionBudget" in said
    assert f"[--accept skip:PodDisruptionBudget/{USER}]" in said


# -- what somebody else does with the live objects


def test_an_object_that_helm_owns(failed: Shop) -> None:
    with live(
        failed,
        f"annotate deployment {USER} meta.helm.sh/release-name=shop",
        f"annotate deployment {USER} meta.helm.sh/release-name-",
    ):
        said = refused(failed)
        with untouched(failed.cluster, failed.namespace):
            Product(failed).plan(f"--accept=owner:{USER}")
    assert f"Deployment/{USER} is owned by Helm (release shop)" in said
    assert f"[--accept owner:{USER}]" in said


def test_a_paused_deployment(failed: Shop) -> None:
    with live(failed, f"rollout pause deployment/{USER}", f"rollout resume deployment/{USER}"):
        said = refused(failed)
    assert "is paused" in said
    assert f"kubectl rollout resume deployment/{USER}" in said
