"""README's Role on a real API server: enough for README's own settings; without any right of it no run is half done.

The Role and the settings are README's text. What is replaced in it is where the shop is: the context, the namespace,
the registry and the names of its images there.
"""

import dataclasses
import json
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml

from tests.cluster import images
from tests.cluster.cluster import Cluster
from tests.cluster.product import ROOT, Product
from tests.cluster.shop import SHARED, Shop, shop_manifests
from tests.command_line import Ended
from tests.sandbox.rights import Rule, wrong
from tests.sandbox.world import World

README = (ROOT / "README.md").read_text(encoding="utf-8")
GATEWAY = "api-gateway"
SERVICES = (GATEWAY, "cloud-config")
USER = "named"


def blocks(heading: str) -> list[Any]:
    """The YAML that README has below a heading."""
    part = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", part, re.DOTALL)]


(ROLE,) = blocks("Permissions")
RIGHTS = list(dict.fromkeys((v, r) for rule in ROLE["rules"] for r in rule["resources"] for v in rule["verbs"]))
IDS = [f"{verb} {resource}" for verb, resource in RIGHTS]


def manifests(shop: Shop, release: str) -> dict[str, str]:
    """Releases that differ in a ConfigMap, a Service and Deployments."""
    files = shop_manifests(shop, release)
    files[SHARED] = files[SHARED].replace('"50"', f'"{release[1:].replace(".", "")}"')
    service = f"k8s/{GATEWAY}/service.yaml"
    return {**files, service: files[service].replace("labels:\n", f'labels:\n    release: "{release}"\n', 1)}


def rules(namespace: str, *, without: tuple[str, str] = ("", "")) -> list[dict[str, list[str]]]:
    verb, resource = without
    found = []
    for rule in ROLE["rules"]:
        names = {"resourceNames": [namespace if n == "ecommerce" else n for n in rule.get("resourceNames", [])]}
        for each in rule["resources"]:
            verbs = [v for v in rule["verbs"] if (v, each) != (verb, resource)]
            found += [{**rule, **(names if names["resourceNames"] else {}), "resources": [each], "verbs": verbs}]
    return [rule for rule in found if rule["verbs"]]


def administrator(cluster: Cluster, namespace: str) -> World:
    state = cluster.state
    assert state is not None
    return World(state.server, state.admin_token, namespace, cluster.kubectl_path, cluster.kubeconfig(), lambda *_: "")


def grant(shop: Shop, given: Sequence[Rule], without: tuple[str, str] = ("", "")) -> None:
    """These rules, once the server goes by them: it hears of a change a moment later."""
    shop.cluster.grant(USER, shop.namespace, given)
    user = dataclasses.replace(administrator(shop.cluster, shop.namespace), acting=USER)
    reviews = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        status = user.create(reviews, {**kind, "spec": {"namespace": shop.namespace}})["status"]
        if all(any(r == dict(rule) for r in status["resourceRules"]) for rule in given) and not any(
            without[0] in r["verbs"] and without[1] in r["resources"] for r in status["resourceRules"]
        ):
            return
        time.sleep(0.05)
    raise AssertionError(f"the server does not go by {given}: {status}")


@pytest.fixture(scope="module")
def failed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """v1.2.0 runs over `:prod`, and v1.1.0 ran before; the settings are README's."""
    with cluster.namespace() as namespace:
        shop = Shop(cluster, namespace, tmp_path_factory.mktemp("rights"), services=SERVICES, manifests=manifests)
        shop.write_repo()
        for release in ("v1.1.0", "v1.2.0"):
            shop.deploy(release)
            shop.wait_ready()
        page = shop.image("page")
        images.push(cluster.registry_url, page.partition(":")[0], "prod", "page", "page")
        settings = blocks("rollback.yaml")[0]
        isolation = next(b for b in map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", README, re.DOTALL))
                         if "isolation" in b.get("environments", {}).get("prod", {}))  # fmt: skip
        place = {**settings["environments"]["prod"], **isolation["environments"]["prod"]}
        place |= {"context": "test", "namespace": namespace}
        place["isolation"]["maintenance"]["image"] = page
        settings["environments"]["prod"] = place
        settings["images"] |= {"repository": f"{shop.organization}/{{service}}",
                               "registries": {"docker.io": {"url": cluster.registry_url}}}  # fmt: skip
        (shop.repo / "rollback.yaml").write_text(json.dumps(settings))
        yield shop


def run(shop: Shop, *arguments: str) -> Ended:
    """To the release that does not run."""
    to = "v1.2.0" if shop.served(GATEWAY) == "v1.1.0" else "v1.1.0"
    return Product(shop, user=USER).run("--accept=quarantined", *arguments, to=to, code=None)


def told(ended: Ended) -> str:
    return " ".join((ended.err + " " + ended.out).split())


def latest(shop: Shop, file: str) -> Any:
    return json.loads((Product(shop, user=USER).latest / file).read_text(encoding="utf-8"))


def is_refused(shop: Shop, right: tuple[str, str], *arguments: str) -> bool:
    """Whether it is refused without the right, with all said that has to be; where it is not, what is lost is said."""
    verb, resource = right
    before, mark = shop.served(GATEWAY), shop.cluster.audit_mark()
    ended = run(shop, *arguments)
    if ended.code == 0:
        (lost,) = [w for w in latest(shop, "plan.json")["warnings"] if "we may not" in w][:1]
        assert re.search(rf"\b{verb}\b.* {resource}", lost), lost
        return False
    assert ended.code == 3, ended
    assert shop.cluster.writes(mark, user=USER) == []
    assert shop.served(GATEWAY) == before
    assert re.search(rf"we may not {verb} {resource}\b[^:]*: |Allow `{verb}` on {resource}|cannot {verb} {resource}",
                     told(ended)), ended  # fmt: skip
    return True


@pytest.fixture(scope="module")
def used(failed: Shop) -> set[tuple[str, str]]:
    """What a run with README's settings asks for, by the audit log, and it ends well with README's Role."""
    grant(failed, rules(failed.namespace))
    before, mark = failed.served(GATEWAY), failed.cluster.audit_mark()
    ended = run(failed)
    assert ended.code == 0, ended
    assert failed.served(GATEWAY) != before
    assert "we may not" not in told(ended)
    asked = failed.cluster.audit(mark, user=USER)
    found = {}
    for entry in asked:
        about = entry.get("objectRef") or {}
        resource = "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
        found[entry["verb"], resource] = entry.get("responseStatus", {}).get("code")
    # of kinds that this shop has not, and of nodes, which are not in a namespace
    others = ("statefulsets", "daemonsets", "cronjobs", "controllerrevisions", "nodes")
    assert not [right for right, code in found.items() if code == 403 and right[1] not in others]
    return set(found)


def test_readme_s_role_has_no_right_in_vain_and_lacks_none(used: set[tuple[str, str]]) -> None:
    for_a_page_or_orphans = {(v, r) for v in ("create", "delete") for r in ("services", "deployments")}
    only_at_times = {("get", "pods/log"), ("update", "leases")}  # after a failure; every 10 s
    assert set(RIGHTS) - used <= for_a_page_or_orphans | only_at_times


def test_it_is_enough_in_maintenance_mode_with_smoke_tests_of_pods_that_get_no_traffic(failed: Shop) -> None:
    grant(failed, rules(failed.namespace))
    before = failed.served(GATEWAY)
    ended = run(failed, "--isolate")
    assert ended.code == 0, ended
    assert failed.served(GATEWAY) != before
    checks = latest(failed, "report/report.json")["verification"]["checks"]
    assert [c["good"] for c in checks if c["kind"] == "smoke"] == [True]


@pytest.mark.parametrize("right", RIGHTS, ids=IDS)
def test_without_one_of_its_rights_a_run_is_refused_or_says_what_is_lost(
    failed: Shop, used: set[tuple[str, str]], right: tuple[str, str]
) -> None:
    grant(failed, rules(failed.namespace, without=right), right)
    if right in used:
        is_refused(failed, right)
    else:  # what only our page or a later moment of a run needs is asked about, too
        is_refused(failed, right, "--isolate", "--dry-run")


def test_other_smoke_tests_need_what_doctor_names(failed: Shop) -> None:
    """A command in a pod, and a request that sends."""
    file = failed.repo / "rollback.yaml"
    kept = file.read_text(encoding="utf-8")
    settings = json.loads(kept)
    asks = ({"command": ["true"]}, {"path": "/", "method": "POST", "status": 501})
    settings["verify"]["smoke"] = [{"service": GATEWAY, **ask} for ask in asks]
    file.write_text(json.dumps(settings), encoding="utf-8")
    needed = [("get", "pods"), ("create", "pods/exec"), ("create", "pods/proxy")]
    more = [{"apiGroups": [""], "resources": [r], "verbs": [v]} for v, r in needed]
    try:
        for left_out in range(len(more)):
            rest = more[:left_out] + more[left_out + 1 :]
            grant(failed, [*rules(failed.namespace), *rest], needed[left_out])
            assert is_refused(failed, needed[left_out], "--dry-run")
        grant(failed, [*rules(failed.namespace), *more])
        ended = run(failed)
        assert ended.code == 0, ended
    finally:
        file.write_text(kept, encoding="utf-8")


def test_a_rule_allows_what_the_sandbox_says(cluster: Cluster, namespace: str) -> None:
    api, admin = "rbac.authorization.k8s.io", administrator(cluster, namespace)

    def granted(rules: Sequence[Rule]) -> Sequence[World]:
        people, items = [f"{namespace}-p{i}" for i in range(len(rules))], []
        for name, rule in zip(people, rules, strict=True):
            meta, ref = {"name": name}, {"apiGroup": api, "kind": "Role", "name": name}
            items.append({"apiVersion": f"{api}/v1", "kind": "Role", "metadata": meta, "rules": [rule]})
            items.append({"apiVersion": f"{api}/v1", "kind": "RoleBinding", "metadata": meta, "roleRef": ref,
                          "subjects": [{"apiGroup": api, "kind": "User", "name": name}]})  # fmt: skip
        cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), namespace=namespace)
        return [dataclasses.replace(admin, acting=name) for name in people]

    assert wrong(admin, granted) == []
