"""Who else writes an object: a rollback by kubectl under Helm, Argo CD or Flux is undone minutes later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rollback_lib.core.kube.objects import notes_of


class Owner(NamedTuple):
    """Who owns an object: a program or a kind, by what name, and in words what to do about it."""

    program: str
    name: str
    said: str


def owner(obj: Mapping[str, Any]) -> Owner | None:
    """Who owns the object; None where nobody does.

    (Marks: Helm's ``managed-by`` label or release annotation; Argo CD's tracking id; Flux's kustomize and helm labels;
    a controller in ownerReferences.)
    """
    meta = obj.get("metadata") or {}
    labels, notes = meta.get("labels") or {}, notes_of(obj)
    if notes.get("meta.helm.sh/release-name") or labels.get("app.kubernetes.io/managed-by") == "Helm":
        release = notes.get("meta.helm.sh/release-name", "?")
        return Owner("Helm", release, f"Helm (release {release}): use `helm rollback`")
    if tracking := notes.get("argocd.argoproj.io/tracking-id") or labels.get("argocd.argoproj.io/instance"):
        app = tracking.split(":")[0]
        return Owner("ArgoCD", app, f"Argo CD ({app}): turn off its automatic sync, or put git back")
    for prefix, what in (("kustomize.toolkit.fluxcd.io", "Kustomization"), ("helm.toolkit.fluxcd.io", "HelmRelease")):
        if name := labels.get(f"{prefix}/name"):
            return Owner(what, name, f"Flux ({what} {name}): `flux suspend` it, or put git back")
    for reference in meta.get("ownerReferences") or []:
        kind, called = str(reference.get("kind")), str(reference.get("name"))
        return Owner(kind, called, f"{kind} {called}: change that one")
    return None
