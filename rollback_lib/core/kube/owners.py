"""Who else writes an object: a rollback by kubectl under Helm, Argo CD or Flux is undone minutes later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollback_lib.core.kube.objects import notes_of


def owner(obj: Mapping[str, Any]) -> str:
    """Who owns the object, in words; empty where nobody does.

    (Marks: Helm's ``managed-by`` label or release annotation; Argo CD's tracking id; Flux's kustomize and helm labels;
    a controller in ownerReferences.)
    """
    meta = obj.get("metadata") or {}
    labels, notes = meta.get("labels") or {}, notes_of(obj)
    if notes.get("meta.helm.sh/release-name") or labels.get("app.kubernetes.io/managed-by") == "Helm":
        return f"Helm (release {notes.get('meta.helm.sh/release-name', '?')}): use `helm rollback`"
    if tracking := notes.get("argocd.argoproj.io/tracking-id") or labels.get("argocd.argoproj.io/instance"):
        return f"Argo CD ({tracking.split(':')[0]}): turn off its automatic sync, or put git back"
    for prefix, what in (("kustomize.toolkit.fluxcd.io", "Kustomization"), ("helm.toolkit.fluxcd.io", "HelmRelease")):
        if name := labels.get(f"{prefix}/name"):
            return f"Flux ({what} {name}): `flux suspend` it, or put git back"
    for reference in meta.get("ownerReferences") or []:
        return f"{reference.get('kind')} {reference.get('name')}: change that one"
    return ""
