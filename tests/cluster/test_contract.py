"""The contract that the sandbox has to keep, on the real cluster."""

import pytest

from tests.cluster import images
from tests.cluster.cluster import Cluster
from tests.sandbox.contract import Contract
from tests.sandbox.world import World


class TestRealCluster(Contract):
    @pytest.fixture
    def world(self, cluster: Cluster, namespace: str) -> World:
        if cluster.state is None:
            pytest.skip("needs the tests' own cluster")
        registry, organization = cluster.registry_url, f"sanjodb-{namespace}"

        def push(name: str, behaviour: str, version: str) -> str:
            images.push(registry, f"{organization}/{name}", version, behaviour, version)
            return f"{organization}/{name}:{version}"

        state = cluster.state
        return World(state.server, state.admin_token, namespace, cluster.kubectl_path, cluster.kubeconfig(), push)
