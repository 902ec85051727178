"""Who owns an object: what is proof, what is none, and what is said of each."""

from __future__ import annotations

from typing import Any

import pytest

from rollback_lib.core.kube.owners import Owner, Program, advice, owner, undoes, who
from rollback_lib.core.plan import three_way

HELM = {"meta.helm.sh/release-name": "shop"}
KUSTOMIZE = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
TRACKING = "argocd.argoproj.io/tracking-id"
INSTANCE = {"app.kubernetes.io/instance": "shop"}


Marks = dict[str, str] | None


def web(labels: Marks = None, notes: Marks = None, managers: tuple[str, ...] = ()) -> dict[str, Any]:
    fields = [{"manager": m, "operation": "Apply"} for m in managers]
    meta = {"name": "web", "namespace": "shop", "labels": labels or {}, "annotations": notes or {}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**meta, "managedFields": fields}}


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        (web(notes={TRACKING: "store:apps/Deployment:shop/web"}), (Program.ARGO, "store")),
        (web(notes={TRACKING: "team_store:apps/Deployment:shop/web"}), (Program.ARGO, "team_store")),
        (web(INSTANCE, managers=("argocd-controller",)), (Program.ARGO, "shop")),
        (web(managers=("kubectl", "argocd-controller")), (Program.ARGO, "")),
        (web({"argocd.argoproj.io/instance": "store"}), (Program.ARGO, "store")),
        (web(KUSTOMIZE), (Program.KUSTOMIZE, "apps")),
        (web(managers=("kustomize-controller",)), (Program.KUSTOMIZE, "")),
        (web({"helm.toolkit.fluxcd.io/name": "chart"}, HELM), (Program.HELM_OF_FLUX, "chart")),
        (web(notes=HELM, managers=("helm-controller",)), (Program.HELM_OF_FLUX, "")),
        (web(INSTANCE, HELM, ("argocd-controller",)), (Program.ARGO, "shop")),
        (web(notes={**HELM, TRACKING: "store:apps/Deployment:shop/web"}), (Program.ARGO, "store")),
        (web(notes=HELM), (Program.HELM, "shop")),
    ],
)  # fmt: skip
def test_who_owns_it(obj: dict[str, Any], found: tuple[Program, str]) -> None:
    assert owner(obj) == Owner(program=found[0], name=found[1])


def test_an_object_of_the_core_group_is_named_without_one() -> None:
    service = {**web(notes={TRACKING: "store:/Service:shop/web"}), "apiVersion": "v1", "kind": "Service"}
    assert owner(service) == Owner(program=Program.ARGO, name="store")


def test_what_a_controller_made_is_its_own() -> None:
    made = web()
    made["metadata"]["ownerReferences"] = [{"kind": "Shop", "name": "one"}]
    assert owner(made) == Owner(program=Program.CONTROLLER, name="Shop one")


@pytest.mark.parametrize(
    "obj",
    [
        web(),
        web(INSTANCE),
        web({"app.kubernetes.io/managed-by": "Helm", **INSTANCE}),
        web(managers=("kubectl-client-side-apply", "kube-controller-manager", "helm")),
        *(
            web(notes={TRACKING: f"store:{named}"})
            for named in ("apps/Deployment:shop/other", "apps/Deployment:elsewhere/web", "apps/StatefulSet:shop/web",
                          "/Deployment:shop/web", "extensions/Deployment:shop/web", "", "nonsense")
        ),
    ],
)  # fmt: skip
def test_what_proves_no_owner(obj: dict[str, Any]) -> None:
    assert owner(obj) is None


def test_a_manager_of_the_status_alone_owns_nothing() -> None:
    obj = web(managers=("argocd-controller",))
    obj["metadata"]["managedFields"][0]["subresource"] = "status"
    assert owner(obj) is None


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Owner(program=Program.ARGO, name="s"), ("within seconds", "automated.enabled=false", "ApplicationSet")),
        (Owner(program=Program.KUSTOMIZE, name="s"), ("next interval", "toolkit.fluxcd.io/reconcile: disabled")),
        (Owner(program=Program.HELM_OF_FLUX, name="s"), ("next interval", "`flux suspend helmrelease s`")),
        (Owner(program=Program.HELM, name="s"), ("next upgrade",)),
        (Owner(program=Program.CONTROLLER, name="Shop s"), ("Shop s may undo",)),
    ],
)  # fmt: skip
def test_it_is_said_when_it_undoes_this_and_what_holds_it(found: Owner, words: tuple[str, ...]) -> None:
    said = undoes(found, ["Deployment/web"])
    assert all(word in said for word in (*words, "Deployment/web"))


@pytest.mark.parametrize("place", ["labels", "annotations"])
@pytest.mark.parametrize("value", ["disabled", "Disabled"])
def test_one_that_is_suspended_for_the_object_is_said_to_be_so(place: str, value: str) -> None:
    obj = web(dict(KUSTOMIZE))
    obj["metadata"][place]["kustomize.toolkit.fluxcd.io/reconcile"] = value
    found = owner(obj)
    assert found is not None
    assert found.suspended
    said = undoes(found, ["Deployment/web"])
    assert "Flux (Kustomization apps) is suspended for Deployment/web" in said
    assert "will undo" not in said
    assert advice(found) == ""


def test_nothing_is_advised_that_an_owner_undoes() -> None:
    """`helm rollback` of a chart that Argo CD or Flux deploys is undone by them."""
    for program in (Program.ARGO, Program.KUSTOMIZE, Program.HELM_OF_FLUX):
        assert "helm rollback" not in advice(Owner(program=program, name="s")) + who(Owner(program=program, name="s"))
    assert advice(Owner(program=Program.HELM, name="s")) == "use `helm rollback`"


def changed(live: dict[str, Any], base: dict[str, Any], target: dict[str, Any]) -> tuple[str, ...]:
    return three_way.merge(base, target, live).changed


def test_the_marks_of_an_owner_are_never_taken_away() -> None:
    marks = {**INSTANCE, **KUSTOMIZE, "tier": "web"}
    notes = {TRACKING: "shop:apps/Deployment:shop/web", "note": "of ours"}
    live = web(marks, notes, ("argocd-controller",))
    plain = web({"tier": "old"}, {"note": "of old"})
    assert changed(live, live, plain) == ("metadata.labels.tier", "metadata.annotations.note")


def test_the_same_labels_are_the_team_s_own_where_nobody_owns_the_object() -> None:
    live = web({**INSTANCE, "tier": "web"})
    assert changed(live, live, web({"tier": "web"})) == ("metadata.labels.app.kubernetes.io/instance",)


def test_the_tracking_id_of_a_copy_is_nobody_s_mark() -> None:
    live = web(notes={TRACKING: "shop:apps/Deployment:shop/original", "note": "x"})
    assert changed(live, live, web(notes={"note": "x"})) == (f"metadata.annotations.{TRACKING}",)
