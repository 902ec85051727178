"""Who reads, who is asked about and who writes is one identity: by impersonation, and as a pod's own account."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import images
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import RIGHTS, ROOT, Product
from tests.cluster.shop import Shop
from tests.cluster.state import ClusterState
from tests.command_line import Ended, rollback

RBAC = ROOT / "jenkins" / "rbac.yaml"
USER = "user-service"
ACCOUNT = "rollback"


def released(shop: ShopFactory) -> Shop:
    """v1.2.0 runs over `:prod`, and v1.1.0 ran before."""
    made = shop(services=[USER])
    made.deploy("v1.1.0")
    made.deploy("v1.2.0")
    made.wait_ready()
    return made


def state_of(shop: Shop) -> ClusterState:
    if shop.cluster.state is None:
        pytest.skip("needs the tests' own cluster")
    return shop.cluster.state


def account(shop: Shop) -> str:
    """The agent's account as jenkins/rbac.yaml makes it; its user name."""
    text = RBAC.read_text(encoding="utf-8").replace("resourceNames: [ecommerce]", f"resourceNames: [{shop.namespace}]")
    shop.cluster.apply(text, namespace=shop.namespace)
    return f"system:serviceaccount:{shop.namespace}:{ACCOUNT}"


def acting(shop: Shop, folder: Path, **more: Any) -> str:
    """A kubeconfig of `deployer`, who may do nothing here but be the account."""
    may_be = {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]}
    shop.cluster.grant("deployer", shop.namespace, [may_be])
    data = yaml.safe_load(Path(shop.cluster.kubeconfig("deployer")).read_text())
    data["users"][0]["user"].update({"as": f"system:serviceaccount:{shop.namespace}:{ACCOUNT}", **more})
    file = folder / "acting.yaml"
    file.write_text(yaml.safe_dump(data))
    return str(file)


def run(shop: Shop, kubeconfig: str) -> Ended:
    environ = {
        "KUBECONFIG": kubeconfig,
        "PATH": os.pathsep.join((str(Path(shop.cluster.kubectl_path).parent), os.environ["PATH"])),
    }
    return rollback("run", "--environment=prod", "--to=v1.1.0", "--yes", folder=shop.repo, environ=environ)


def test_a_whole_run_is_made_as_the_account_that_the_kubeconfig_names(shop: ShopFactory, tmp_path: Path) -> None:
    made = released(shop)
    made.rollback_yaml()
    name = account(made)
    mark = made.cluster.audit_mark()
    ended = run(made, acting(made, tmp_path))
    assert ended.code == 0, ended
    assert made.served(USER) == "v1.1.0"
    asked = made.cluster.audit(mark, user="deployer")
    assert {e["impersonatedUser"]["username"] for e in asked} == {name}
    assert {e["userAgent"].split("/")[0] for e in asked} >= {"rollback_lib", "kubectl"}


def test_an_account_that_may_only_read_is_refused_though_the_user_behind_it_may_write(
    shop: ShopFactory, tmp_path: Path
) -> None:
    made = released(shop)
    made.rollback_yaml()
    meta = {"name": ACCOUNT, "namespace": made.namespace}
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]
    api = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": meta, "rules": rules}
    binding = {
        "apiVersion": f"{api}/v1", "kind": "RoleBinding", "metadata": meta,
        "roleRef": {"apiGroup": api, "kind": "Role", "name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": made.namespace}],
    }  # fmt: skip
    made.cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [role, binding]}),
                       namespace=made.namespace)  # fmt: skip
    file = acting(made, tmp_path)
    may_be = {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]}
    made.cluster.grant("deployer", made.namespace, [*RIGHTS, may_be])
    mark = made.cluster.audit_mark()
    ended = run(made, file)
    assert ended.code == 3, ended
    assert "we may not patch" in " ".join(ended.err.split())
    assert made.cluster.writes(mark, user="deployer") == []
    assert made.served(USER) == "v1.2.0"


def test_who_may_not_be_the_account_is_refused_and_the_account_is_named(shop: ShopFactory, tmp_path: Path) -> None:
    made = released(shop)
    made.rollback_yaml()
    file = acting(made, tmp_path, **{"as-groups": ["system:masters"]})
    ended = run(made, file)
    assert ended.code == 3, ended
    said = " ".join(ended.err.split())
    assert "we cannot act as who its `as` names (forbidden)" in said
    assert 'User "deployer" cannot impersonate resource "groups"' in said
    assert made.served(USER) == "v1.2.0"


def test_preferences_of_a_user_s_own_do_not_make_dry_runs_of_our_writes(shop: ShopFactory, tmp_path: Path) -> None:
    """kubectl would say yes to every one of them, and write none."""
    made = released(shop)
    made.rollback_yaml()
    (tmp_path / ".kube").mkdir()
    dry = [{"command": c, "options": [{"name": "dry-run", "default": "server"}]} for c in ("patch", "create")]
    preferences = {"apiVersion": "kubectl.config.k8s.io/v1beta1", "kind": "Preference", "defaults": dry}
    (tmp_path / ".kube" / "kuberc").write_text(yaml.safe_dump(preferences))
    Product(made)("run", "--environment=prod", "--to=v1.1.0", "--yes", environ={"HOME": str(tmp_path)})
    assert made.served(USER) == "v1.1.0"


# -- in a pod


def agent(shop: Shop, image: str, *arguments: str) -> Mapping[str, Any]:
    """A pod that has this machine's programs, and of Kubernetes only what every pod with an account has.

    The address stands in it since this cluster's own (`kubernetes.default`) leads nowhere: its API server listens on
    loopback, which no Service may lead to.
    """
    server = state_of(shop).server.removeprefix("https://").partition(":")
    programs = Path(shop.cluster.kubectl_path).parent
    environ = {
        "PATH": f"{programs}{os.pathsep}/usr/local/bin{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(shop.repo), "PYTHONPATH": str(ROOT), "KUBERNETES_SERVICE_HOST": server[0],
        "KUBERNETES_SERVICE_PORT": server[2], "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    system = [Path(f"/{name}") for name in ("usr", "bin", "lib", "lib64", "etc") if Path(f"/{name}").exists()]
    own = [ROOT, programs, Path(sys.base_prefix), shop.repo.parent]
    places = [*system, *(p for p in dict.fromkeys(own) if not any(p.is_relative_to(s) for s in system))]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent"},
        "spec": {
            "serviceAccountName": ACCOUNT, "restartPolicy": "Never", "hostNetwork": True,
            "containers": [{
                "name": "agent", "image": image, "workingDir": str(shop.repo),
                "command": [sys.executable, "-m", "rollback_lib", *arguments],
                "env": [{"name": name, "value": value} for name, value in environ.items()],
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}] + [
                    {"name": f"v{i}", "mountPath": str(p), "readOnly": p != shop.repo.parent}
                    for i, p in enumerate(places)
                ],
            }],
            "volumes": [{"name": "tmp", "emptyDir": {}}] + [
                {"name": f"v{i}", "hostPath": {"path": os.path.realpath(p)}} for i, p in enumerate(places)
            ],
        },
    }  # fmt: skip


def ended(shop: Shop, name: str = "agent", *, within: float = 90.0) -> tuple[str, str]:
    """(phase, log) of a pod that has ended."""
    deadline = time.monotonic() + within
    while True:
        phase = shop.cluster.get("pod", name, namespace=shop.namespace)["status"]["phase"]
        if phase in ("Succeeded", "Failed") or time.monotonic() > deadline:
            said = shop.cluster.kubectl("logs", name, namespace=shop.namespace, check=False)
            return phase, said.stdout + said.stderr
        time.sleep(0.2)


def test_a_pod_with_an_account_and_no_kubeconfig_runs_a_whole_rollback(shop: ShopFactory) -> None:
    made = released(shop)
    made.rollback_yaml({"environments": {"prod": {"namespace": made.namespace}}})
    name = account(made)
    images.push(made.cluster.registry_url, f"{made.organization}/agent", "v1", "good", "v1")
    pod = agent(made, f"{made.organization}/agent:v1", "run", "--environment=prod", "--to=v1.1.0", "--yes",
                "--accept=skip:Pod/agent")  # fmt: skip
    mark = made.cluster.audit_mark()
    made.cluster.apply(json.dumps(pod), namespace=made.namespace)
    phase, said = ended(made)
    assert phase == "Succeeded", said
    assert made.served(USER) == "v1.1.0"
    asked = made.cluster.audit(mark, user=name, namespace=made.namespace)
    assert {e["userAgent"].split("/")[0] for e in asked} >= {"rollback_lib", "kubectl"}
    assert any(e["verb"] == "patch" and e["userAgent"].startswith("kubectl") for e in asked)
    record = json.loads((Product(made, user="admin").latest / "plan.json").read_text())
    assert record["cluster"]["context"] == ""
