"""A proxy in the environment and an API server on this machine (kind, minikube, a tunnel): as kubectl has it."""

from pathlib import Path

import pytest

from rollback_lib.adapters.kubernetes import KubernetesCluster
from rollback_lib.sandbox.cluster import Sandbox
from tests.fake_registry import closed_port


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_server_on_this_machine_is_asked_without_the_proxy_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    for other in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(other, raising=False)
    kubeconfig = tmp_path / "kubeconfig"
    with Sandbox(namespaces=("shop",)) as sandbox:
        kubeconfig.write_text(sandbox.kubeconfig_text())
        cluster = KubernetesCluster(str(kubeconfig), None, "shop")
        try:
            assert cluster.identity().namespace_uid
        finally:
            cluster.close()
