"""What a run relies on, asked in the same words of the sandbox and of a real cluster. Where they differ, the sandbox
is wrong: an expectation here is changed only by what the real one answers.
"""

import json
from typing import Any

import pytest

from tests.sandbox.world import PATCHES, World, complete, condition, workload

CSA = "fieldManager=kubectl-client-side-apply"
DEPLOYMENT = "apps/v1 deployments/a"


def world_node(world: World) -> str:
    """The node, for a pod whose claim has no volume: no scheduler would place it."""
    return str(world.get("/api/v1/nodes")["items"][0]["metadata"]["name"])


class Contract:
    """The tests; who inherits them gives the fixture `world`."""

    # -- objects

    def test_a_new_deployment_has_its_defaults(self, world: World) -> None:
        made = world.create("apps/v1 deployments?dryRun=All", workload("a", "x/y:1"))
        spec = made["spec"]
        assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
        assert spec["strategy"] == {
            "type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
        }  # fmt: skip
        assert spec["template"]["spec"] == {
            "containers": [
                {
                    "name": "main", "image": "x/y:1", "imagePullPolicy": "IfNotPresent",
                    "ports": [{"containerPort": 8080, "protocol": "TCP"}], "resources": {},
                    "readinessProbe": {
                        "httpGet": {"path": "/", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 1,
                        "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3,
                    },
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }
            ],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "securityContext": {}, "terminationGracePeriodSeconds": 1,
        }  # fmt: skip
        assert made["metadata"]["generation"] == 1
        assert "resourceVersion" not in made["metadata"]

    def test_a_dry_run_persists_nothing(self, world: World) -> None:
        world.create("v1 configmaps?dryRun=All", {"metadata": {"name": "one"}, "data": {"a": "b"}})
        assert world.ask("GET", "v1 configmaps/one").code == 404
        world.create("v1 configmaps", {"metadata": {"name": "one"}, "data": {"a": "b"}})
        before = world.get("v1 configmaps/one")
        there = world.patch("v1 configmaps/one?dryRun=All", "merge", {"data": {"a": "c"}})
        assert there.body["data"] == {"a": "c"}
        assert world.ask("DELETE", "v1 configmaps/one?dryRun=All").code == 200
        assert world.get("v1 configmaps/one") == before

    def test_what_changes_nothing_is_not_written(self, world: World) -> None:
        made = world.create("v1 configmaps", {"metadata": {"name": "one"}, "data": {"a": "b"}})
        again = world.patch("v1 configmaps/one?fieldManager=other", "merge", {"data": {"a": "b"}}).body
        assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]

    def test_generation_rises_with_spec_and_annotations_and_not_with_labels(self, world: World) -> None:
        world.create("apps/v1 deployments", workload("a", "x/y:1", replicas=0))

        def after(patch: Any) -> int:
            return int(world.patch(DEPLOYMENT + "?dryRun=All", "merge", patch).body["metadata"]["generation"])

        world.until(DEPLOYMENT, lambda d: condition(d, "Available") is not None)
        assert after({"metadata": {"labels": {"b": "c"}}}) == 1
        assert after({"metadata": {"annotations": {"b": "c"}}}) == 2
        assert after({"spec": {"paused": True}}) == 2

    def test_a_stale_resource_version_is_a_conflict(self, world: World) -> None:
        made = world.create("v1 configmaps", {"metadata": {"name": "one"}})
        world.patch("v1 configmaps/one", "merge", {"data": {"a": "b"}})
        stale = world.ask("PUT", "v1 configmaps/one", {**made, "data": {"a": "c"}})
        assert (stale.code, stale.body["reason"]) == (409, "Conflict")
        assert stale.message == (
            'Operation cannot be fulfilled on configmaps "one": the object has been modified; please apply your '
            "changes to the latest version and try again"
        )

    def test_a_deletion_is_of_the_uid_that_was_meant(self, world: World) -> None:
        made = world.create("v1 configmaps", {"metadata": {"name": "one"}})
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "another"}}
        refused = world.ask("DELETE", "v1 configmaps/one", options)
        assert (refused.code, refused.body["reason"]) == (409, "Conflict")
        options["preconditions"] = {"uid": made["metadata"]["uid"]}
        done = world.ask("DELETE", "v1 configmaps/one", options)
        assert (done.code, done.body["kind"], done.body["status"]) == (200, "Status", "Success")

    def test_a_deletion_with_a_body_takes_nothing_from_the_query(self, world: World) -> None:
        options = {"apiVersion": "v1", "kind": "DeleteOptions"}
        world.create("v1 configmaps", {"metadata": {"name": "one"}})
        assert world.ask("DELETE", "v1 configmaps/one?dryRun=All", {**options, "dryRun": ["All"]}).code == 200
        assert world.ask("GET", "v1 configmaps/one").code == 200
        world.ask("DELETE", "v1 configmaps/one?dryRun=All", options)
        assert world.ask("GET", "v1 configmaps/one").code == 404

    def test_who_keeps_the_pods_says_so_in_the_body(self, world: World) -> None:
        good = world.push("user-service", "good", "v1.1.0")
        options = {"apiVersion": "v1", "kind": "DeleteOptions"}
        for name in ("kept", "lost"):
            world.create("apps/v1 statefulsets", workload(name, good, kind="StatefulSet"))
            world.until(f"v1 pods/{name}-0", lambda p: condition(p, "Ready") is not None)
        world.ask("DELETE", "apps/v1 statefulsets/lost?propagationPolicy=Orphan", options)
        world.ask("DELETE", "apps/v1 statefulsets/kept", {**options, "propagationPolicy": "Orphan"})
        world.until("v1 pods/kept-0", lambda p: "ownerReferences" not in p["metadata"])
        world.until("v1 pods?labelSelector=app=lost", lambda f: not f["items"])
        assert "deletionTimestamp" not in world.get("v1 pods/kept-0")["metadata"]

    def test_what_kept_its_pods_is_taken_over_by_who_selects_them(self, world: World) -> None:
        good = world.push("user-service", "good", "v1.1.0")
        made = world.create("apps/v1 deployments", workload("a", good))
        world.until(DEPLOYMENT, complete)
        before = {i["metadata"]["name"] for i in world.get("v1 pods?labelSelector=app=a")["items"]}
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Orphan"}
        world.ask("DELETE", DEPLOYMENT, options)
        (left,) = world.until(
            "apps/v1 replicasets?labelSelector=app=a", lambda f: "ownerReferences" not in f["items"][0]["metadata"]
        )["items"]
        world.until("apps/v1 deployments", lambda f: not f["items"])  # its finalizer goes after that
        again = world.create("apps/v1 deployments", workload("a", good))
        assert again["metadata"]["uid"] != made["metadata"]["uid"]
        taken = world.until(
            f"apps/v1 replicasets/{left['metadata']['name']}", lambda r: r["metadata"].get("ownerReferences")
        )
        assert taken["metadata"]["ownerReferences"][0]["uid"] == again["metadata"]["uid"]
        world.until(DEPLOYMENT, complete)
        assert {i["metadata"]["name"] for i in world.get("v1 pods?labelSelector=app=a")["items"]} == before

    def test_what_is_deleted_in_the_foreground_is_there_until_its_pods_are_gone(self, world: World) -> None:
        good = world.push("user-service", "good", "v1.1.0")
        world.create("apps/v1 deployments", workload("a", good))
        world.until(DEPLOYMENT, complete)
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
        world.ask("DELETE", DEPLOYMENT, options)
        leaving = world.ask("GET", DEPLOYMENT)
        assert leaving.code == 200
        assert leaving.body["metadata"]["finalizers"] == ["foregroundDeletion"]
        world.until("apps/v1 deployments", lambda f: not f["items"])
        assert world.get("v1 pods?labelSelector=app=a")["items"] == []

    def test_what_is_on_its_way_out_takes_a_patch_unless_that_says_no(self, world: World) -> None:
        for name, more in (("goes", {"finalizers": ["example.com/hold"]}), ("stays", {})):
            world.create("v1 configmaps", {"metadata": {"name": name, **more}, "data": {"a": "b"}})
        world.ask("DELETE", "v1 configmaps/goes")
        change = {"op": "replace", "path": "/data/a", "value": "c"}
        stays = {"op": "test", "path": "/metadata/deletionTimestamp", "value": None}
        assert world.ask("PATCH", "v1 configmaps/goes?dryRun=All", [change], PATCHES["json"]).code == 200
        refused = world.ask("PATCH", "v1 configmaps/goes?dryRun=All", [stays, change], PATCHES["json"])
        assert (refused.code, refused.body["reason"]) == (422, "Invalid")
        assert world.ask("PATCH", "v1 configmaps/stays?dryRun=All", [stays, change], PATCHES["json"]).code == 200
        again = world.ask("POST", "v1 configmaps", {"metadata": {"name": "goes"}})
        assert (again.code, again.message) == (409, 'object is being deleted: configmaps "goes" already exists')
        world.patch("v1 configmaps/goes", "merge", {"metadata": {"finalizers": None}})
        assert world.ask("GET", "v1 configmaps/goes").code == 404

    def test_a_node_port_and_an_address_are_one_services_own(self, world: World) -> None:
        def service(name: str, kind: str, address: str = "", port: int = 0) -> Any:
            given = {"port": 80, **({"nodePort": port} if port else {})}
            spec = {"type": kind, "ports": [given], "selector": {"app": "a"}}
            return {"metadata": {"name": name}, "spec": spec | ({"clusterIP": address} if address else {})}

        one = world.create("v1 services", service("one", "NodePort"))["spec"]
        port, address = one["ports"][0]["nodePort"], one["clusterIP"]
        taken = f"spec.ports[0].nodePort: Invalid value: {port}: provided port is already allocated"
        for query in ("", "?dryRun=All"):
            refused = world.ask("POST", f"v1 services{query}", service("two", "NodePort", port=port))
            assert (refused.code, refused.message) == (422, f'Service "two" is invalid: {taken}')
        world.create("v1 services", service("two", "NodePort"))
        change = [{"op": "replace", "path": "/spec/ports/0/nodePort", "value": port}]
        refused = world.ask("PATCH", "v1 services/two?dryRun=All", change, PATCHES["json"])
        assert (refused.code, refused.message) == (422, f'Service "two" is invalid: {taken}')
        refused = world.ask("POST", "v1 services", service("three", "ClusterIP", address))
        assert (refused.code, refused.message) == (
            422,
            f'Service "three" is invalid: spec.clusterIPs: Invalid value: ["{address}"]: failed to allocate IP '
            f"{address}: provided IP is already allocated",
        )
        tried = world.ask("POST", "v1 services?dryRun=All", service("three", "ClusterIP", address))
        assert tried.code == 201, "of an address a dry run does not know"

    def test_a_claim_goes_with_the_last_pod_that_uses_it(self, world: World) -> None:
        good = world.push("user-service", "good", "v1.1.0")
        spec: Any = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}},
                     "storageClassName": ""}  # fmt: skip
        for name in ("used", "free"):
            world.create("v1 persistentvolumeclaims", {"metadata": {"name": name}, "spec": spec})
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": "used"}}
        pod = {"containers": [{"name": "main", "image": good}], "volumes": [volume]}
        world.create("v1 pods", {"metadata": {"name": "user"}, "spec": {**pod, "nodeName": world_node(world)}})
        for name in ("used", "free"):
            world.kubectl("delete", "pvc", name, "--wait=false")
        world.until("v1 persistentvolumeclaims", lambda f: len(f["items"]) == 1)
        held = world.get("v1 persistentvolumeclaims/used")["metadata"]
        assert held["deletionTimestamp"]
        assert held["finalizers"] == ["kubernetes.io/pvc-protection"]
        world.kubectl("delete", "pod", "user", "--now")
        world.until("v1 persistentvolumeclaims", lambda f: not f["items"])

    def test_lists_choose_by_labels_and_fields_and_come_in_parts(self, world: World) -> None:
        for name, labels in (("a", {"x": "1"}), ("b", {"x": "2"}), ("c", {})):
            world.create("v1 configmaps", {"metadata": {"name": name, "labels": labels}})

        def names(query: str) -> list[str]:
            found = world.get(f"v1 configmaps?{query}")["items"]
            return [o["metadata"]["name"] for o in found if o["metadata"]["name"] != "kube-root-ca.crt"]

        assert names("labelSelector=x%3D1") == ["a"]
        assert names("labelSelector=x!%3D1") == ["b", "c"]
        assert names("labelSelector=x%20in%20(1,2)") == ["a", "b"]
        assert names("labelSelector=!x") == ["c"]
        assert names("labelSelector=x") == ["a", "b"]
        assert names("fieldSelector=metadata.name%3Db") == ["b"]
        found = world.get("v1 configmaps?limit=2")
        assert (found["kind"], found["apiVersion"], len(found["items"])) == ("ConfigMapList", "v1", 2)
        assert "kind" not in found["items"][0]
        rest = world.get(f"v1 configmaps?limit=9&continue={found['metadata']['continue']}")
        assert len(rest["items"]) == 2
        assert "continue" not in rest["metadata"]

    def test_metadata_alone_has_nothing_of_a_secret(self, world: World) -> None:
        made = world.create("v1 secrets", {"metadata": {"name": "one"}, "stringData": {"a": "b"}})
        assert (made["data"], made["type"], "stringData" in made) == ({"a": "Yg=="}, "Opaque", False)
        accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        found = world.ask("GET", "v1 secrets/one", accept=accept).body
        assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
        assert set(found) == {"kind", "apiVersion", "metadata"}
        assert world.ask("GET", "v1 secrets/two", accept=accept).code == 404

    def test_what_an_access_review_says(self, world: World) -> None:
        spec = {"resourceAttributes": {"namespace": world.namespace, "verb": "patch", "group": "apps",
                                       "resource": "deployments", "name": "a"}}  # fmt: skip
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        found = world.ask("POST", path, {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                                         "spec": spec})  # fmt: skip
        assert (found.code, found.body["status"]["allowed"]) == (201, True)
        path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
        found = world.ask("POST", path, {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
                                         "spec": {"namespace": world.namespace}})  # fmt: skip
        assert found.code == 201
        rules = found.body["status"]["resourceRules"]
        assert any(r["verbs"] == ["*"] and r["apiGroups"] == ["*"] and r["resources"] == ["*"] for r in rules)

    # -- patches

    def test_a_json_patch_with_a_failing_test_changes_nothing(self, world: World) -> None:
        world.create("apps/v1 deployments", workload("a", "x/y:1", replicas=0))
        for operation in (
            {"op": "test", "path": "/spec/replicas", "value": 7},
            {"op": "remove", "path": "/spec/nothing"},
            {"op": "add", "path": "/spec/no/such", "value": "x"},
            {"op": "test", "path": "/spec/no/such", "value": "x"},
        ):
            refused = world.patch(DEPLOYMENT, "json", [operation, {"op": "add", "path": "/spec/paused", "value": True}])
            assert (refused.code, refused.body["reason"]) == (422, "Invalid")
            assert refused.message == "the server rejected our request due to an error in our request"
        assert "paused" not in world.get(DEPLOYMENT)["spec"]

    def test_a_json_patch_may_replace_a_member_that_is_not_there_and_test_it_for_null(self, world: World) -> None:
        world.create("apps/v1 deployments", workload("a", "x/y:1", replicas=0))
        operations = [
            {"op": "test", "path": "/spec/paused", "value": None},
            {"op": "replace", "path": "/spec/paused", "value": True},
        ]
        assert world.patch(DEPLOYMENT, "json", operations).body["spec"]["paused"] is True

    @pytest.mark.parametrize(
        ("there", "alike", "other"),
        [
            ("a&b", '"a\\u0026b"', '"a&b"'),
            ("a<b>", '"a\\u003cb\\u003e"', '"a\\u003Cb\\u003E"'),
            ("año", '"año"', '"a\\u00f1o"'),
            ("\U0001f600", '"\U0001f600"', '"\\ud83d\\ude00"'),
            ("\u2028", '"\\u2028"', '"\u2028"'),
            ("\x7f\x85", '"\x7f\x85"', '"\\u007f\\u0085"'),
            ('\x01\t"\\\\/', '"\\u0001\\t\\"\\\\\\\\/"', '"\\u0001\\t\\"\\\\\\\\\\/"'),
        ],
    )
    def test_a_test_compares_texts_by_their_bytes(self, world: World, there: str, alike: str, other: str) -> None:
        notes = {"example.com/k": there, "b": "c"}
        world.create("v1 configmaps", {"metadata": {"name": "one", "annotations": notes}, "data": {"k": there}})

        def said(path: str, value: str) -> int:
            body = f'[{{"op": "test", "path": "{path}", "value": {value}}}]'.encode()
            return world.ask("PATCH", "v1 configmaps/one?dryRun=All", body, "application/json-patch+json").code

        assert said("/data/k", alike) == 200
        assert said("/data/k", other) == 422
        assert said("/metadata/annotations/example.com~1k", alike) == 200
        # Within containers too; only the keys are compared as they are read.
        for text, code in ((alike, 200), (other, 422)):
            assert said("/metadata/annotations", f'{{"\\u0062":"c", "example.com\\/k" :  {text}}}') == code

    def test_a_test_compares_numbers_by_their_bytes(self, world: World) -> None:
        world.create("apps/v1 deployments", workload("a", "x/y:1", replicas=0))
        for text, code in (("0", 200), ("0.0", 422), ("-0", 422), ("0e0", 422), ('"0"', 422), ("null", 422)):
            body = b'[{"op": "test", "path": "/spec/replicas", "value": %s}]' % text.encode()
            assert world.ask("PATCH", DEPLOYMENT, body, "application/json-patch+json").code == code, text

    def test_a_json_patch_of_the_whole_template_is_one_write(self, world: World) -> None:
        world.create("apps/v1 deployments", workload("a", "x/y:1", replicas=0))
        template = world.get(DEPLOYMENT)["spec"]["template"]
        wanted = workload("a", "x/y:2")["spec"]["template"]
        operations = [
            {"op": "test", "path": "/spec/template", "value": template},
            {"op": "replace", "path": "/spec/template", "value": wanted},
            {"op": "add", "path": "/metadata/annotations/example.com~1note", "value": "x"},
        ]
        world.until(DEPLOYMENT, lambda d: "annotations" in d["metadata"])  # made by the controller
        dry = world.patch(f"{DEPLOYMENT}?dryRun=All&{CSA}", "json", operations)
        done = world.patch(f"{DEPLOYMENT}?{CSA}", "json", operations)
        assert dry.code == done.code == 200
        assert dry.body["spec"] == done.body["spec"]
        assert done.body["spec"]["template"]["spec"]["containers"][0]["image"] == "x/y:2"
        assert done.body["metadata"]["annotations"]["example.com/note"] == "x"
        assert done.body["metadata"]["generation"] == 2

    def test_a_strategic_patch_merges_by_name(self, world: World) -> None:
        env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
        world.create("apps/v1 deployments", workload("a", "x/y:1", replicas=0, container={"env": env}))

        def containers(*patched: Any) -> Any:
            body = {"spec": {"template": {"spec": {"containers": list(patched)}}}}
            answered = world.patch(DEPLOYMENT + "?dryRun=All", "strategic", body)
            assert answered.code == 200, answered
            return answered.body["spec"]["template"]["spec"]["containers"]

        side = containers({"name": "side", "image": "s/s:1"})
        # A container that is new comes first; the server keeps its own behind it.
        assert [c["name"] for c in side] == ["side", "main"] or [c["name"] for c in side] == ["main", "side"]
        (main,) = containers({"name": "main", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]})
        assert {e["name"]: e["value"] for e in main["env"]} == {"A": "1", "B": "3", "C": "4"}
        assert main["image"] == "x/y:1"
        (main,) = containers({"name": "main", "env": [{"name": "A", "$patch": "delete"}]})
        assert main["env"] == env[1:]
        (main,) = containers({"name": "main", "env": [{"$patch": "replace"}, {"name": "Z", "value": "9"}]})
        assert main["env"] == [{"name": "Z", "value": "9"}]
        (main,) = containers({"name": "main", "ports": [{"containerPort": 8080, "$patch": "delete"}, {
            "containerPort": 9090}]})  # fmt: skip
        assert [p["containerPort"] for p in main["ports"]] == [9090]
        (main,) = containers({"name": "main", "$setElementOrder/env": [{"name": "B"}, {"name": "A"}]})
        assert [e["name"] for e in main["env"]] == ["B", "A"]

    def test_a_merge_patch_replaces_lists_and_null_removes(self, world: World) -> None:
        world.create("apps/v1 deployments", workload("a", "x/y:1", replicas=0))
        body = {"metadata": {"labels": {"app": None, "b": "c"}}, "spec": {"template": {"spec": {"containers": [
            {"name": "other", "image": "o/o:1"}]}}}}  # fmt: skip
        found = world.patch(DEPLOYMENT + "?dryRun=All", "merge", body).body
        assert found["metadata"]["labels"] == {"b": "c"}
        assert [c["name"] for c in found["spec"]["template"]["spec"]["containers"]] == ["other"]

    # -- refusals

    def test_unknown_fields_are_refused_warned_of_or_dropped(self, world: World) -> None:
        body = workload("a", "x/y:1", zz=1, container={"nope": 1})
        strict = world.ask("POST", "apps/v1 deployments?dryRun=All&fieldValidation=Strict", body)
        assert (strict.code, strict.body["reason"]) == (400, "BadRequest")
        assert strict.message == (
            'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field '
            '"spec.template.spec.containers[0].nope", unknown field "spec.zz"'
        ) or strict.message == (
            'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field '
            '"spec.zz", unknown field "spec.template.spec.containers[0].nope"'
        )
        warned = world.ask("POST", "apps/v1 deployments?dryRun=All", body)
        assert warned.code == 201
        assert "unknown field" in warned.headers["Warning"]
        assert "zz" not in warned.body["spec"]
        assert "Warning" not in world.ask("POST", "apps/v1 deployments?dryRun=All&fieldValidation=Ignore", body).headers

    def test_a_patch_with_an_unknown_field_is_refused_where_asked(self, world: World) -> None:
        world.create("apps/v1 deployments", workload("a", "x/y:1", replicas=0))
        refused = world.patch(DEPLOYMENT + "?fieldValidation=Strict", "strategic", {"spec": {"foo": 1}})
        assert refused.code == 422
        assert refused.message == (
            ' "" is invalid: patch: Invalid value: "map[spec:map[foo:1]]": strict decoding error: unknown field '
            '"spec.foo"'
        )

    def test_a_value_of_another_type_is_refused(self, world: World) -> None:
        refused = world.ask("POST", "apps/v1 deployments", workload("a", "x/y:1", replicas="3"))
        assert refused.code == 400
        assert refused.message == (
            'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go '
            "struct field DeploymentSpec.spec.replicas of type int32"
        )

    @pytest.mark.parametrize(
        ("path", "value", "why"),
        [
            ("/spec/template/spec/containers/0/env/0/value", 12000,
             "number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string"),
            ("/metadata/labels/v", 12000.0, "number into Go struct field ObjectMeta.metadata.labels of type string"),
            ("/spec/template/metadata/annotations", {"a": True},
             "bool into Go struct field ObjectMeta.spec.template.metadata.annotations of type string"),
            ("/spec/replicas", "3", "string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ],
    )  # fmt: skip
    def test_a_patch_that_makes_a_value_of_another_type_is_answered_with_the_whole_object(
        self, world: World, path: str, value: Any, why: str
    ) -> None:
        secret = {"env": [{"name": "A", "value": "b"}, {"name": "DB_PASSWORD", "value": "hunter2&more"}]}
        world.create("apps/v1 deployments", workload("a", "x/y:1", replicas=0, container=secret))
        for refused in (
            world.patch(DEPLOYMENT, "json", [{"op": "add", "path": path, "value": value}]),
            world.patch(DEPLOYMENT, "merge", {"spec": {"replicas": "3"}}) if path == "/spec/replicas" else None,
        ):
            if refused is not None:
                assert (refused.code, refused.body["reason"]) == (422, "Invalid")
                assert refused.message.startswith(' "" is invalid: patch: Invalid value: "{\\"')
                assert refused.message.endswith(f'}}": json: cannot unmarshal {why}')
                assert "hunter2" in refused.message

    def test_what_is_missing_is_named(self, world: World) -> None:
        body = workload("a", "", pod={"volumes": []}, container={"volumeMounts": [{"name": "q", "mountPath": "/x"}]})
        body["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
        refused = world.ask("POST", "apps/v1 deployments", body)
        assert (refused.code, refused.body["reason"]) == (422, "Invalid")
        assert refused.message == (
            'Deployment.apps "a" is invalid: [spec.template.metadata.labels: Invalid value: {"app":"other"}: '
            "`selector` does not match template `labels`, spec.template.spec.containers[0].image: Required value, "
            'spec.template.spec.containers[0].volumeMounts[0].name: Not found: "q"]'
        )

    def test_selectors_are_immutable(self, world: World) -> None:
        world.create("apps/v1 deployments", workload("a", "x/y:1", replicas=0))
        body = {"spec": {"selector": {"matchLabels": {"app": "a", "b": "c"}},
                         "template": {"metadata": {"labels": {"b": "c"}}}}}  # fmt: skip
        refused = world.patch(DEPLOYMENT, "merge", body)
        assert refused.code == 422
        assert refused.message == (
            'Deployment.apps "a" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"a","b":"c"}}: field '
            "is immutable"
        )

    def test_most_of_a_stateful_set_is_immutable(self, world: World) -> None:
        world.create("apps/v1 statefulsets", workload("s", "x/y:1", kind="StatefulSet", replicas=0))
        refused = world.patch("apps/v1 statefulsets/s", "merge", {"spec": {"serviceName": "other"}})
        assert refused.code == 422
        assert refused.message.startswith(
            'StatefulSet.apps "s" is invalid: spec: Forbidden: updates to statefulset spec for fields other than '
            "'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
        )

    @pytest.mark.parametrize(
        ("kind", "field", "other"),
        [("Deployment", "strategy", "Recreate"), ("StatefulSet", "updateStrategy", "OnDelete")],
    )
    def test_only_a_rolling_update_may_have_its_settings(self, world: World, kind: str, field: str, other: str) -> None:
        where = f"apps/v1 {kind.lower()}s"
        world.create(where, workload("a", "x/y:1", kind=kind, replicas=0))
        for strategy in ({"type": other}, {"type": other, "rollingUpdate": {}}):  # what is there stays, also if emptied
            refused = world.patch(f"{where}/a?dryRun=All", "merge", {"spec": {field: strategy}})
            assert (refused.code, refused.body["details"]["causes"][0]["field"]) == (422, f"spec.{field}.rollingUpdate")
        taken = world.patch(f"{where}/a", "merge", {"spec": {field: {"type": other, "rollingUpdate": None}}})
        assert taken.body["spec"][field] == {"type": other}

    def test_a_daemon_set_keeps_the_settings_of_a_rolling_update(self, world: World) -> None:
        world.create("apps/v1 daemonsets", workload("a", "x/y:1", kind="DaemonSet"))
        taken = world.patch("apps/v1 daemonsets/a", "merge", {"spec": {"updateStrategy": {"type": "OnDelete"}}})
        assert "rollingUpdate" in taken.body["spec"]["updateStrategy"]

    def test_an_immutable_config_map_stays(self, world: World) -> None:
        world.create("v1 configmaps", {"metadata": {"name": "one"}, "data": {"a": "b"}, "immutable": True})
        refused = world.patch("v1 configmaps/one", "merge", {"data": {"a": "c"}})
        assert (refused.code, refused.message) == (
            422, 'ConfigMap "one" is invalid: data: Forbidden: field is immutable when `immutable` is set',
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("method", "path", "code", "message"),
        [
            ("GET", "apps/v1 deployments/zz", 404, 'deployments.apps "zz" not found'),
            ("PATCH", "v1 configmaps/zz", 404, 'configmaps "zz" not found'),
            ("DELETE", "v1 configmaps/zz", 404, 'configmaps "zz" not found'),
            ("POST", "/api/v1/namespaces/no-such/configmaps", 404, 'namespaces "no-such" not found'),
        ],
    )
    def test_what_is_not_there(self, world: World, method: str, path: str, code: int, message: str) -> None:
        body = None if method in ("GET", "DELETE") else {"metadata": {"name": "zz"}}
        content = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answered = world.ask(method, path, body, content)
        assert (answered.code, answered.message, answered.body["reason"]) == (code, message, "NotFound")

    def test_what_is_there_already(self, world: World) -> None:
        world.create("v1 configmaps", {"metadata": {"name": "one"}})
        refused = world.ask("POST", "v1 configmaps", {"metadata": {"name": "one"}})
        assert (refused.code, refused.message) == (409, 'configmaps "one" already exists')
        assert refused.body["reason"] == "AlreadyExists"

    # -- who owns what

    def test_server_side_apply_says_whose_field_it_is(self, world: World) -> None:
        world.create(f"apps/v1 deployments?{CSA}", workload("a", "x/y:1", replicas=0))
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {
            "replicas": 3, "template": {"spec": {"containers": [{"name": "main", "image": "x/y:2"}]}}}}  # fmt: skip
        refused = world.patch(DEPLOYMENT + "?fieldManager=me", "apply", body)
        assert (refused.code, refused.body["reason"]) == (409, "Conflict")
        assert refused.message == (
            'Apply failed with 2 conflicts: conflicts with "kubectl-client-side-apply" using apps/v1:\n'
            "- .spec.replicas\n"
            '- .spec.template.spec.containers[name="main"].image'
        )
        forced = world.patch(DEPLOYMENT + "?fieldManager=me&force=true&dryRun=All", "apply", body)
        assert forced.code == 200
        assert forced.body["spec"]["replicas"] == 3

    def test_server_side_apply_takes_back_what_it_gave(self, world: World) -> None:
        body: Any = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "1", "b": "2"}}
        assert world.patch("v1 configmaps/one?fieldManager=me", "apply", body).code == 201
        world.patch("v1 configmaps/one?fieldManager=you", "merge", {"data": {"c": "3"}})
        body["data"] = {"a": "1"}
        assert world.patch("v1 configmaps/one?fieldManager=me", "apply", body).body["data"] == {"a": "1", "c": "3"}

    def test_an_update_takes_over_what_it_changes(self, world: World) -> None:
        world.create(f"v1 configmaps?{CSA}", {"metadata": {"name": "one"}, "data": {"a": "b"}})
        found = world.patch("v1 configmaps/one?fieldManager=other", "merge", {"data": {"a": "c", "d": "e"}}).body
        owned = {f["manager"]: f["fieldsV1"] for f in found["metadata"]["managedFields"]}
        assert owned == {
            "kubectl-client-side-apply": {"f:data": {}},
            "other": {"f:data": {"f:a": {}, "f:d": {}}},
        }

    # -- kubectl

    def test_kubectl_applies_and_sees_no_difference(self, world: World) -> None:
        text = json.dumps(workload("a", "x/y:1", replicas=0))
        assert "deployment.apps/a created" in world.kubectl("apply", "--filename=-", input=text)
        assert "deployment.apps/a unchanged" in world.kubectl("apply", "--filename=-", input=text)
        assert world.kubectl("diff", "--filename=-", input=text) == ""
        changed = text.replace("x/y:1", "x/y:2")
        assert "+        image: x/y:2" in world.kubectl("diff", "--filename=-", input=changed, code=1).replace(
            "+      - image: x/y:2", "+        image: x/y:2"
        )
        assert "serverside-applied" in world.kubectl("apply", "--server-side", "--filename=-", input=text)
        dry = world.kubectl("apply", "--dry-run=server", "--filename=-", input=changed)
        assert "configured (server dry run)" in dry

    def test_kubectl_apply_keeps_what_others_have_added(self, world: World) -> None:
        text = json.dumps(workload("a", "x/y:1", replicas=0))
        world.kubectl("apply", "--filename=-", input=text)
        world.kubectl("set", "env", "deployment/a", "LATER=1")
        side = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s/s:1"}]}}}}
        world.kubectl("patch", "deployment", "a", f"--patch={json.dumps(side)}")
        world.kubectl("apply", "--filename=-", input=text)
        found = {c["name"]: c for c in world.get(DEPLOYMENT)["spec"]["template"]["spec"]["containers"]}
        assert set(found) == {"main", "side"}
        assert found["main"]["env"] == [{"name": "LATER", "value": "1"}]
        # After this, an apply takes both away, and starts no rollout by itself.
        world.kubectl("apply", "edit-last-applied", "--help")
        live = world.get(DEPLOYMENT)
        wanted = {k: live[k] for k in ("apiVersion", "kind", "spec")}
        wanted["metadata"] = {"name": "a", "labels": live["metadata"]["labels"]}
        world.kubectl("apply", "set-last-applied", "--filename=-", input=json.dumps(wanted))
        world.kubectl("apply", "--filename=-", input=text)
        (only,) = world.get(DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
        assert "env" not in only

    # -- what runs

    def test_a_rollout_ends_with_the_new_pods_only(self, world: World) -> None:
        good = world.push("user-service", "good", "v1.1.0")
        world.kubectl("apply", "--filename=-", input=json.dumps(workload("a", good, replicas=2)))
        assert "successfully rolled out" in world.kubectl("rollout", "status", "deployment/a", "--timeout=40s")
        found = world.get(DEPLOYMENT)
        assert condition(found, "Available") == ("True", "MinimumReplicasAvailable")
        assert condition(found, "Progressing") == ("True", "NewReplicaSetAvailable")
        assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
        pods = world.pods("a")
        assert len(pods) == 2
        for pod in pods:
            (status,) = pod["status"]["containerStatuses"]
            assert status["ready"]
            assert status["restartCount"] == 0
            repository = good.partition(":")[0]
            assert status["image"] == f"docker.io/{good}"
            assert status["imageID"].startswith(f"docker.io/{repository}@sha256:")
            name = pod["metadata"]["name"]
            answered = world.ask("GET", f"v1 pods/{name}:8080/proxy/")
            assert (answered.code, answered.body.strip()) == (200, "v1.1.0")
            assert "v1.1.0" in world.kubectl("logs", name, "--tail=3")
            assert world.ask("GET", f"v1 pods/{name}:1/proxy/").code == 503
            assert world.ask("GET", f"v1 pods/{name}:8080/proxy/no/such").code == 404
            previous = world.ask("GET", f"v1 pods/{name}/log?container=main&previous=true&tailLines=3")
            assert previous.code == 400
            assert previous.message == f'previous terminated container "main" in pod "{name}" not found'
        world.kubectl("set", "env", "deployment/a", "NEW=1")
        world.until(DEPLOYMENT, complete)
        world.kubectl("rollout", "undo", "deployment/a")
        found = world.until(DEPLOYMENT, complete)
        assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
        sets = world.get("apps/v1 replicasets?labelSelector=app=a")["items"]
        assert sorted(s["spec"]["replicas"] for s in sets) == [0, 2]

    def test_a_crashing_release_leaves_the_old_pods(self, world: World) -> None:
        good, bad = world.push("user-service", "good", "v1.1.0"), world.push("user-service", "crash", "v1.2.0")
        world.create("apps/v1 deployments", workload("a", good))
        world.until(DEPLOYMENT, complete)
        world.kubectl("set", "image", "deployment/a", f"main={bad}")

        def crashing(found: Any) -> bool:
            states = [s for p in found["items"] for s in p["status"].get("containerStatuses", [])]
            return any(s["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff" for s in states)

        pods = world.until("v1 pods?labelSelector=app=a", crashing)["items"]
        assert len(pods) == 2
        sick = next(p for p in pods if not p["status"]["containerStatuses"][0]["ready"])
        (status,) = sick["status"]["containerStatuses"]
        uid, name = sick["metadata"]["uid"], sick["metadata"]["name"]
        assert status["restartCount"] >= 1
        assert status["lastState"]["terminated"]["exitCode"] == 3
        assert status["lastState"]["terminated"]["reason"] == "Error"
        assert status["state"]["waiting"]["message"].endswith(
            f"restarting failed container=main pod={name}_{world.namespace}({uid})"
        )
        assert "FATAL" in world.kubectl("logs", name, "--previous")
        # The controller says so a moment later than the kubelet; where it is busy and sees set and pods at once, it
        # leaves the reason at the set's making.
        reasons = ("ReplicaSetUpdated", "NewReplicaSetCreated")
        said = [("True", reason) for reason in reasons]
        found = world.until(
            DEPLOYMENT, lambda d: condition(d, "Progressing") in said and d["status"].get("unavailableReplicas") == 1
        )
        assert condition(found, "Available") == ("True", "MinimumReplicasAvailable")

    def test_an_image_that_is_not_there(self, world: World) -> None:
        world.create("apps/v1 deployments", workload("a", "sanjodb/no-such-image:prod"))

        def failing(found: Any) -> bool:
            states = [s["state"] for p in found["items"] for s in p["status"].get("containerStatuses", [])]
            return any(s.get("waiting", {}).get("reason") == "ErrImagePull" for s in states)

        (pod,) = world.until("v1 pods?labelSelector=app=a", failing)["items"]
        (status,) = pod["status"]["containerStatuses"]
        full = "docker.io/sanjodb/no-such-image:prod"
        assert status["state"]["waiting"]["message"] == (
            f'rpc error: code = NotFound desc = failed to pull and unpack image "{full}": failed to resolve reference '
            f'"{full}": {full}: not found'
        )
        assert (status["imageID"], pod["status"]["phase"]) == ("", "Pending")

    def test_a_config_map_that_is_not_there(self, world: World) -> None:
        good = world.push("user-service", "good", "v1.1.0")
        source = {"envFrom": [{"configMapRef": {"name": "no-such"}}]}
        world.create("apps/v1 deployments", workload("a", good, container=source))

        def failing(found: Any) -> bool:
            states = [s["state"] for p in found["items"] for s in p["status"].get("containerStatuses", [])]
            return any(s.get("waiting", {}).get("reason") == "CreateContainerConfigError" for s in states)

        (pod,) = world.until("v1 pods?labelSelector=app=a", failing)["items"]
        waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"]
        assert waiting["message"] == 'configmap "no-such" not found'
        world.create("v1 configmaps", {"metadata": {"name": "no-such"}})
        world.until(DEPLOYMENT, complete)

    def test_an_account_that_is_not_there_is_the_deployments_failure(self, world: World) -> None:
        world.create("apps/v1 deployments", workload("a", "x/y:1", pod={"serviceAccountName": "no-such"}))
        found = world.until(DEPLOYMENT, lambda d: condition(d, "ReplicaFailure") is not None)
        assert condition(found, "ReplicaFailure") == ("True", "FailedCreate")
        told = next(c["message"] for c in found["status"]["conditions"] if c["type"] == "ReplicaFailure")
        assert told.endswith(
            f'is forbidden: error looking up service account {world.namespace}/no-such: serviceaccount "no-such" not '
            "found"
        )

    def test_a_quota_that_is_full(self, world: World) -> None:
        world.create("v1 resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}})
        world.until("v1 resourcequotas/q", lambda q: "hard" in q.get("status", {}))
        world.create("apps/v1 deployments", workload("a", "x/y:1"))
        found = world.until(DEPLOYMENT, lambda d: condition(d, "ReplicaFailure") is not None)
        told = next(c["message"] for c in found["status"]["conditions"] if c["type"] == "ReplicaFailure")
        assert told.endswith("is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0")

    def test_a_pod_that_fits_no_node(self, world: World) -> None:
        world.create("apps/v1 deployments", workload("a", "x/y:1", pod={"nodeSelector": {"no": "such"}}))
        found = world.until(
            "v1 pods?labelSelector=app=a", lambda f: any(condition(p, "PodScheduled") for p in f["items"])
        )
        (pod,) = found["items"]
        assert condition(pod, "PodScheduled") == ("False", "Unschedulable")
        assert pod["status"]["phase"] == "Pending"

    def test_an_ordered_stateful_set_stays_stuck_until_its_pod_is_deleted(self, world: World) -> None:
        good, bad = world.push("user-service", "good", "v1.1.0"), world.push("user-service", "crash", "v1.2.0")
        path = "apps/v1 statefulsets/s"
        world.create("apps/v1 statefulsets", workload("s", good, kind="StatefulSet"))
        before = world.until(path, lambda s: (s.get("status") or {}).get("readyReplicas") == 1)
        world.kubectl("set", "image", "statefulset/s", f"main={bad}")
        world.until("v1 pods/s-0", lambda p: p["spec"]["containers"][0]["image"] == bad
                    and "deletionTimestamp" not in p["metadata"])  # fmt: skip
        world.kubectl("set", "image", "statefulset/s", f"main={good}")
        after = world.until(path, lambda s: s["status"]["observedGeneration"] == s["metadata"]["generation"])
        assert after["status"]["updateRevision"] == before["status"]["updateRevision"]
        assert after["status"]["currentRevision"] == before["status"]["currentRevision"]
        world.until("v1 pods/s-0", lambda p: p["status"]["containerStatuses"][0]["restartCount"] >= 1)
        assert world.get("v1 pods/s-0")["spec"]["containers"][0]["image"] == bad
        # kubectl waits for good where the new pod, of the same name, is there before it begins to watch
        world.kubectl("delete", "pod", "s-0", "--wait=false")
        world.until(path, lambda s: s["status"].get("readyReplicas") == 1 and s["status"].get("updatedReplicas") == 1)

    def test_a_parallel_stateful_set_recovers_by_itself(self, world: World) -> None:
        good, bad = world.push("user-service", "good", "v1.1.0"), world.push("user-service", "crash", "v1.2.0")
        path = "apps/v1 statefulsets/s"
        made = workload("s", good, kind="StatefulSet", podManagementPolicy="Parallel", replicas=2)
        world.create("apps/v1 statefulsets", made)
        world.until(path, lambda s: (s.get("status") or {}).get("readyReplicas") == 2)
        world.kubectl("set", "image", "statefulset/s", f"main={bad}")
        world.until("v1 pods/s-1", lambda p: p["spec"]["containers"][0]["image"] == bad)
        world.kubectl("set", "image", "statefulset/s", f"main={good}")
        world.until(path, lambda s: s["status"].get("readyReplicas") == 2 and s["status"].get("updatedReplicas") == 2)

    def test_a_daemon_set_rolls_out(self, world: World) -> None:
        good = world.push("user-service", "good", "v1.1.0")
        path = "apps/v1 daemonsets/d"
        world.create("apps/v1 daemonsets", workload("d", good, kind="DaemonSet"))
        world.until(path, lambda d: (d.get("status") or {}).get("numberAvailable") == 1)
        world.kubectl("set", "env", "daemonset/d", "NEW=1")

        def over(found: Any) -> bool:
            status = found["status"]
            updated, available = status.get("updatedNumberScheduled"), status.get("numberAvailable")
            return status["observedGeneration"] == 2 and updated == available == 1

        found = world.until(path, over)
        assert found["metadata"]["annotations"]["deprecated.daemonset.template.generation"] == "2"
        revisions = world.get("apps/v1 controllerrevisions")["items"]
        assert sorted(r["revision"] for r in revisions) == [1, 2]

    def test_a_service_finds_its_ready_pods(self, world: World) -> None:
        good = world.push("user-service", "good", "v1.1.0")
        world.create("apps/v1 deployments", workload("a", good))
        spec: Any = {"selector": {"app": "a"}, "ports": [{"port": 80, "targetPort": 8080, "name": "http"}]}
        world.create("v1 services", {"metadata": {"name": "a"}, "spec": spec})
        world.until(DEPLOYMENT, complete)

        def ready(found: Any) -> list[str]:
            return [e["targetRef"]["name"] for s in found["items"] for e in s.get("endpoints") or []
                    if e["conditions"]["ready"]]  # fmt: skip

        slices = "discovery.k8s.io/v1 endpointslices?labelSelector=kubernetes.io/service-name=a"
        world.until(slices, lambda f: ready(f) == [world.pods("a")[0]["metadata"]["name"]])
        world.patch("v1 services/a", "merge", {"spec": {"selector": {"closed": "yes"}}})
        world.until(slices, lambda f: not ready(f))
        answered = world.ask("GET", "v1 services/a:80/proxy/")
        assert (answered.code, answered.message) == (503, 'no endpoints available for service "a"')

    def test_a_deleted_deployment_takes_its_pods_along(self, world: World) -> None:
        good = world.push("user-service", "good", "v1.1.0")
        world.create("apps/v1 deployments", workload("a", good))
        world.until(DEPLOYMENT, complete)
        world.kubectl("delete", "deployment", "a")
        world.until("v1 pods?labelSelector=app=a", lambda f: not f["items"])
        assert world.get("apps/v1 replicasets")["items"] == []

    # -- as somebody else

    def test_who_acts_as_somebody_else_may_what_that_one_may(self, world: World) -> None:
        assert "yes" in world.kubectl("auth", "can-i", "get", "configmaps")
        assert "no" in world.kubectl("auth", "can-i", "get", "configmaps", "--as=jane", code=1)
        name = "system:serviceaccount:default:robot"
        for wanted in ("jane", name):
            said = world.kubectl("get", "configmaps", f"--as={wanted}", code=1)
            assert f'User "{wanted}" cannot list resource "configmaps" in API group "" in the namespace' in said
            said = world.kubectl("create", "configmap", "note", f"--as={wanted}", code=1)
            assert f'User "{wanted}" cannot create resource "configmaps"' in said
        assert "NotFound" in world.kubectl("get", "configmap", "note", code=1)
