from __future__ import annotations

import unicodedata

import pytest

from rollback_lib.core.errors import UsageError
from rollback_lib.core.manifests.services import Discovery, ServiceFiles, concerns, discover, once, roots
from rollback_lib.core.manifests.tree import Unread

SHOP = (
    "Jenkinsfile",
    "k8s/README.md",
    "k8s/api-gateway/deploy.yaml",
    "k8s/api-gateway/nested/service.yml",
    "k8s/cloud-config/all.json",
    "k8s/common-config.yaml",
    "k8s/locust/deploy.yaml",
    "k8s/namespace.yaml",
    "k8s/user-service/deploy.yaml",
    "k8s/user-service/notes.txt",
    "k8s/zipkin/deploy.yaml",
    "k8s2/stray/deploy.yaml",
)
ORDER = (("zipkin",), ("service-discovery",), ("cloud-config",))


def waves(found: Discovery) -> dict[str, int]:
    return {service.name: service.wave for service in found.services}


def test_a_folder_each() -> None:
    found = discover(SHOP, "k8s/{service}", ["k8s/common-config.yaml"], ORDER, ["locust"])
    assert found.services == (
        ServiceFiles("zipkin", 1, ("k8s/zipkin/deploy.yaml",)),
        ServiceFiles("cloud-config", 3, ("k8s/cloud-config/all.json",)),
        ServiceFiles("api-gateway", 4, ("k8s/api-gateway/deploy.yaml", "k8s/api-gateway/nested/service.yml")),
        ServiceFiles("user-service", 4, ("k8s/user-service/deploy.yaml",)),
    )
    assert found.shared == ("k8s/common-config.yaml",)
    assert found.left == ("k8s/namespace.yaml",)
    assert found.ignored == ("locust",)
    assert found.warnings == ("services.order names service-discovery, which this release does not have",)


def test_a_file_each() -> None:
    paths = ["k8s/a.yaml", "k8s/b.yaml", "k8s/b.yml", "k8s/deep/c.yaml"]
    found = discover(paths, "k8s/{service}.yaml")
    assert found.services == (ServiceFiles("a", 1, ("k8s/a.yaml",)), ServiceFiles("b", 1, ("k8s/b.yaml",)))
    assert found.left == ("k8s/b.yml", "k8s/deep/c.yaml")


@pytest.mark.parametrize(
    ("pattern", "path", "root"),
    [
        ("{service}/k8s", "user/k8s/x/deploy.yaml", ""),
        ("apps/{service}/{service}.yaml", "apps/user/user.yaml", "apps"),
        ("./deploy/app-{service}/prod/", "deploy/app-user/prod/x.yaml", "deploy"),
        ("k8s (prod)/{service}", "k8s (prod)/user/a\u2028b\n.yaml", "k8s (prod)"),
    ],
)
def test_other_layouts(pattern: str, path: str, root: str) -> None:
    assert discover([path, "apps/user/other.yaml"], pattern).services == (ServiceFiles("user", 1, (path,)),)
    assert roots(pattern, []) == (root,)


@pytest.mark.parametrize("pattern", ["k8s", "k8s/", "."])
def test_a_plain_folder_is_one_group_whose_services_are_told_apart_later(pattern: str) -> None:
    found = discover(["k8s/b.yaml", "k8s/a.yaml", "k8s/c.yaml"], pattern, ["k8s/c.yaml"], ORDER, only=["user"])
    assert found == Discovery((ServiceFiles("", 4, ("k8s/a.yaml", "k8s/b.yaml")),), ("k8s/c.yaml",))


def test_a_plain_file() -> None:
    found = discover(["release/all.yaml", "release/other.yaml"], "release/all.yaml")
    assert found.services == (ServiceFiles("", 1, ("release/all.yaml",)),)


def test_shared_keep_their_order_and_belong_to_no_service() -> None:
    found = discover(SHOP, "k8s/{service}", ["k8s/zipkin/", "k8s/common-config.yaml", "k8s/zipkin/deploy.yaml"])
    assert found.shared == ("k8s/zipkin/deploy.yaml", "k8s/common-config.yaml")
    assert "zipkin" not in waves(found)


def test_a_shared_file_that_is_not_there_is_a_warning_and_names_its_twin() -> None:
    made_on_a_mac = unicodedata.normalize("NFD", "k8s/configuración.yaml")
    found = discover([*SHOP, made_on_a_mac], "k8s/{service}", ["k8s/gone.yaml", "k8s/configuración.yaml"])
    assert found.warnings[0] == "manifests.shared names 'k8s/gone.yaml', which this release does not have"
    assert "whose accents are encoded differently" in found.warnings[1]


def test_only_keeps_the_waves_and_the_warnings_of_the_whole() -> None:
    found = discover(SHOP, "k8s/{service}", (), ORDER, ["locust"], ["user-service", "zipkin"])
    assert waves(found) == {"zipkin": 1, "user-service": 4}
    assert len(found.warnings) == 1


def test_only_an_unknown_or_ignored_service_is_refused_all_at_once() -> None:
    with pytest.raises(UsageError) as error:
        discover(SHOP, "k8s/{service}", ignore=["locust"], only=["user-servce", "locust", "zipkin"])
    assert str(error.value).splitlines() == [
        "this release has no service 'user-servce' (did you mean user-service?)",
        "service locust is in services.ignore (take it out there)",
    ]


def test_an_ignored_service_in_the_order_is_a_warning() -> None:
    found = discover(SHOP, "k8s/{service}", order=[["locust"]], ignore=["locust"])
    assert found.warnings == ("services.order names locust, which is ignored",)


def test_a_release_from_before_the_manifests() -> None:
    found = discover(["pom.xml"], "k8s/{service}", order=ORDER)
    assert found == Discovery((), warnings=("this release has no manifests of services at k8s/{service}",))


def test_twice_in_the_order_is_refused() -> None:
    with pytest.raises(UsageError, match=r"services\.order: zipkin is named twice"):
        discover(SHOP, "k8s/{service}", order=[["zipkin"], ["zipkin"]])


def test_roots_are_read_once() -> None:
    assert roots("k8s/{service}", ["k8s/common-config.yaml", "shared", "shared/x.yaml", "k8s2"]) == (
        "k8s",
        "k8s2",
        "shared",
    )
    assert roots("{service}/k8s", ["shared"]) == ("",)


@pytest.mark.parametrize("path", ["/k8s", "../k8s", "k8s/../../x", "k8s\\{service}", "k8s\x00"])
def test_paths_that_lead_out_are_refused(path: str) -> None:
    with pytest.raises(UsageError, match="not a path inside the repository"):
        roots(path, [])
    with pytest.raises(UsageError):
        roots("k8s", [path])


def test_other_braces_are_refused() -> None:
    with pytest.raises(UsageError, match="braces that mean nothing"):
        discover(SHOP, "k8s/{servcie}")


def test_another_name_of_a_file_that_is_read_anyway_is_no_service() -> None:
    paths = ["k8s/latest/a.yaml", "k8s/user/a.yaml", "k8s/order/prod.yaml"]
    links = {"k8s/latest/a.yaml": "k8s/user/a.yaml", "k8s/order/prod.yaml": "k8s/order/base/b.yaml"}
    found = once(discover(paths, "k8s/{service}"), links)
    assert [s.name for s in found.services] == ["order", "user"], "what a link stands for is read once"
    only = once(discover(paths, "k8s/{service}", only=["latest"]), links)
    assert [s.name for s in only.services] == ["latest"], "asked for by its other name"


@pytest.mark.parametrize(
    ("path", "pattern", "concerned"),
    [
        ("k8s/order", "k8s/{service}", True),
        ("k8s/order/base/deep", "k8s/{service}", True),
        ("k8s", "k8s/{service}", True),
        ("k8s/locust", "k8s/{service}", False),
        ("k8s/locust/base", "k8s/{service}", False),
        ("docs", "k8s/{service}", False),
        ("k8s/shared", "services/{service}", True),
        ("order", "{service}/k8s", True),
        ("order/src", "{service}/k8s", False),
        ("k8s/order", "k8s/{service}.yaml", False),
        ("k8s/order.yaml", "k8s/{service}.yaml", True),
        ("k8s/order/README.md", "k8s/{service}", False),
        ("k8s/order/v1.2", "k8s/{service}", True),
        ("anything", ".", True),
    ],
)
def test_which_places_that_cannot_be_read_could_hold_manifests(path: str, pattern: str, concerned: bool) -> None:
    unread = Unread(path, "leads out", "", link=True)
    assert concerns(unread, pattern, ["k8s/shared"], ["locust"]) is concerned


def test_of_several_paths_the_first_that_fits_says_whose_a_file_is() -> None:
    files = ("k8s/cart/d.yaml", "k8s/ingress.yaml", "config/cart/c.yaml", "web/d.yaml", "other/d.yaml")
    found = discover(files, ["k8s/{service}", "config/{service}", "k8s", "web/d.yaml"])
    assert {s.name: s.files for s in found.services} == {
        "": ("k8s/ingress.yaml", "web/d.yaml"),
        "cart": ("config/cart/c.yaml", "k8s/cart/d.yaml"),
    }
    assert found.left == ()
    assert roots(["k8s/{service}", "k8s", "web/d.yaml"], ["web"]) == ("k8s", "web")
    assert concerns(Unread("web/d.yaml", "is a link", ""), ["k8s/{service}", "web"], (), ())


def test_several_paths_that_all_name_services_know_their_names() -> None:
    files = ("a/cart/d.yaml", "b/users/d.yaml")
    assert [s.name for s in discover(files, ["a/{service}", "b/{service}"], only=["users"]).services] == ["users"]
    with pytest.raises(UsageError, match="did you mean users"):
        discover(files, ["a/{service}", "b/{service}"], only=["user"])
