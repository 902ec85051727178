"""What a newcomer types. Everything here is run with each kubectl that there is."""

import json

from tests.sandbox.conftest import Kubectl
from tests.sandbox.pictures import Pictures
from tests.sandbox.world import workload


def test_a_newcomers_day(any_kubectl: Kubectl, pictures: Pictures) -> None:
    good, bad = pictures.push("user-service", "good", "v1.1.0"), pictures.push("user-service", "good", "v1.2.0")
    text = json.dumps(workload("a", good, replicas=2))
    any_kubectl("apply", "--filename=-", input=text)
    assert "successfully rolled out" in any_kubectl("rollout", "status", "deployment/a", "--timeout=20s").stdout
    lines = any_kubectl("get", "deployments").stdout.splitlines()
    assert lines[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert lines[1].split()[:4] == ["a", "2/2", "2", "2"]
    lines = any_kubectl("get", "pods").stdout.splitlines()
    assert lines[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [line.split()[1:4] for line in lines[1:]] == [["1/1", "Running", "0"]] * 2
    any_kubectl("set", "image", "deployment/a", f"main={bad}")
    any_kubectl("set", "env", "deployment/a", "NEW=1")
    any_kubectl("rollout", "status", "deployment/a", "--timeout=20s")
    assert "v1.2.0" in any_kubectl("logs", "deployment/a").stdout
    any_kubectl("rollout", "undo", "deployment/a", "--to-revision=1")
    any_kubectl("rollout", "status", "deployment/a", "--timeout=20s")
    assert "v1.1.0" in any_kubectl("logs", "deployment/a").stdout
    any_kubectl("scale", "deployment/a", "--replicas=1")
    any_kubectl("annotate", "deployment", "a", "note=x")
    any_kubectl("rollout", "restart", "deployment/a")
    any_kubectl("rollout", "status", "deployment/a", "--timeout=20s")
    assert "user-service" in any_kubectl("describe", "deployment", "a").stdout
    assert "ScalingReplicaSet" in any_kubectl("get", "events").stdout
    assert any_kubectl("auth", "can-i", "delete", "pods").stdout == "yes\n"
    any_kubectl("delete", "deployment", "a")
    any_kubectl("wait", "--for=delete", "pod", "--selector=app=a", "--timeout=20s")


def test_what_is_typed_to_create(any_kubectl: Kubectl) -> None:
    any_kubectl("create", "configmap", "one", "--from-literal=a=b", "--dry-run=server")
    assert '"one" not found' in any_kubectl("get", "configmap", "one", code=1).stderr
    any_kubectl("create", "configmap", "one", "--from-literal=a=b")
    any_kubectl("create", "secret", "generic", "two", "--from-literal=a=b")
    assert any_kubectl("get", "secret", "two", "--output=jsonpath={.data}").stdout == '{"a":"Yg=="}'
    any_kubectl("create", "namespace", "other")
    any_kubectl("get", "serviceaccount", "default", "--namespace=other")
    any_kubectl("delete", "namespace", "other", "--timeout=20s")


def test_what_is_not_here_says_so(any_kubectl: Kubectl, pictures: Pictures) -> None:
    any_kubectl("run", "one", f"--image={pictures.push('user-service', 'good', 'v1')}")
    any_kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=20s")
    said = any_kubectl("port-forward", "one", "8080", code=1).stderr
    assert "rollback's sandbox" in said or "not found" in said.lower()


def test_old_and_new_fields_of_a_crash(any_kubectl: Kubectl, pictures: Pictures) -> None:
    bad = pictures.push("user-service", "crash", "v1.2.0")
    any_kubectl("apply", "--server-side", "--filename=-", input=json.dumps(workload("a", bad)))
    any_kubectl("wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=2", "pod", "--selector=app=a",
                "--timeout=20s")  # fmt: skip
    assert "FATAL: v1.2.0" in any_kubectl("logs", "--selector=app=a", "--previous").stdout
