"""Who else writes an object: what a rollback changes under Helm, Argo CD or Flux is undone, often in seconds."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from rollback_lib.core.kube.objects import kind_of, name_of, notes_of
from rollback_lib.core.wording import some

_TRACKING: Final = "argocd.argoproj.io/tracking-id"
_ARGO_LABEL: Final = "argocd.argoproj.io/instance"
_INSTANCE: Final = "app.kubernetes.io/instance"  # Argo CD's default label, and everybody's
_KUSTOMIZE: Final = "kustomize.toolkit.fluxcd.io"
_RECONCILE: Final = f"{_KUSTOMIZE}/reconcile"
_HELM_OF_FLUX: Final = "helm.toolkit.fluxcd.io"
_RELEASE: Final = "meta.helm.sh/release-name"
_MARKS: Final = (
    _TRACKING, _ARGO_LABEL, _INSTANCE, f"{_KUSTOMIZE}/", f"{_HELM_OF_FLUX}/", "meta.helm.sh/",
    "app.kubernetes.io/managed-by",
)  # fmt: skip


class Program(enum.StrEnum):
    """Which program it is."""

    ARGO = "argo-cd"
    KUSTOMIZE = "flux-kustomization"
    HELM_OF_FLUX = "flux-helm-release"
    HELM = "helm"
    CONTROLLER = "controller"


# The field manager of each that applies by itself.
_MANAGERS: Final = {
    "argocd-controller": Program.ARGO,
    "kustomize-controller": Program.KUSTOMIZE,
    "helm-controller": Program.HELM_OF_FLUX,
}


class Owner(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What keeps an object as it wants it.

    ``name``: its application, Kustomization or release, of a controller its kind and name; empty where only its field
    manager is seen. ``suspended``: the object itself says that it is left alone.
    """

    program: Program
    name: str = ""
    suspended: bool = False


def owner(obj: Mapping[str, Any]) -> Owner | None:
    """Who owns the object; None where nobody is seen to.

    Argo CD by the tracking id that names this object (a copy carries another's), or by its label together with its
    field manager, since everybody sets that label; Flux by its labels; either by its field manager alone. A chart that
    these deploy is theirs, so Helm comes after them, by its annotation: a label says only who once wrote a template.
    """
    meta = obj.get("metadata") or {}
    labels, notes = meta.get("labels") or {}, notes_of(obj)
    managers = [_MANAGERS[m] for m in _managers(meta) if m in _MANAGERS]
    if application := _tracked(obj, str(notes.get(_TRACKING) or "")) or labels.get(_ARGO_LABEL):
        return Owner(program=Program.ARGO, name=application)
    if Program.ARGO in managers:
        return Owner(program=Program.ARGO, name=labels.get(_INSTANCE, ""))
    for prefix, program in ((_KUSTOMIZE, Program.KUSTOMIZE), (_HELM_OF_FLUX, Program.HELM_OF_FLUX)):
        if (name := labels.get(f"{prefix}/name")) or program in managers:
            said = (str(m.get(_RECONCILE)).lower() for m in (labels, notes))  # it looks at both, in any case
            suspended = program is Program.KUSTOMIZE and "disabled" in said
            return Owner(program=program, name=name or "", suspended=suspended)
    for reference in meta.get("ownerReferences") or []:
        return Owner(program=Program.CONTROLLER, name=f"{reference.get('kind')} {reference.get('name')}")
    if release := notes.get(_RELEASE):
        return Owner(program=Program.HELM, name=release)
    return None


def _managers(meta: Mapping[str, Any]) -> list[str]:
    """Who has written its fields, its status aside."""
    fields = meta.get("managedFields") or []
    return [str(f.get("manager")) for f in fields if isinstance(f, Mapping) and not f.get("subresource")]


def _tracked(obj: Mapping[str, Any], tracking: str) -> str:
    """The application of a tracking id (``shop:apps/Deployment:default/web``) that names this object; else empty."""
    application, _, named = tracking.partition(":")
    group = str(obj.get("apiVersion") or "").rpartition("/")[0]
    namespace = str((obj.get("metadata") or {}).get("namespace") or "")
    what, _, where = named.partition(":")
    there, _, name = where.rpartition("/")
    this = (what, name) == (f"{group}/{kind_of(obj)}", name_of(obj))
    return application if this and (there == namespace or not namespace) else ""


def marks(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """How the labels and annotations begin by which the object's owner knows it, and which nobody else takes away."""
    return _MARKS if owner(obj) else ()


def who(owner: Owner) -> str:
    """The owner in words."""
    name = owner.name
    match owner.program:
        case Program.ARGO:
            return f"Argo CD ({name or 'its field manager is on it'})"
        case Program.KUSTOMIZE:
            return f"Flux (Kustomization {name})" if name else "Flux (kustomize-controller)"
        case Program.HELM_OF_FLUX:
            return f"Flux (HelmRelease {name})" if name else "Flux (helm-controller)"
        case Program.HELM:
            return f"Helm (release {name})"
    return name


def advice(owner: Owner) -> str:
    """What goes back and stays so; empty where nothing undoes it."""
    if owner.suspended:
        return ""
    match owner.program:
        case Program.ARGO | Program.KUSTOMIZE | Program.HELM_OF_FLUX:
            return "put back in git what it deploys, or see that it leaves this alone first"
        case Program.HELM:
            return "use `helm rollback`"
    return "change that one"


def undoes(owner: Owner, labels: Collection[str]) -> str:
    """What becomes of a change to these objects of its own, when, and what holds it."""
    what, plural = some(sorted(labels)), len(labels) != 1
    if owner.suspended:
        return (
            f"{who(owner)} is suspended for {what} ({_RECONCILE}: disabled on it): the rollback stays "
            f"until that is taken off."
        )
    says = f"{who(owner)} will undo the rollback of {what}"
    match owner.program:
        case Program.ARGO:
            return (
                f"{says}: within seconds where it heals by itself (selfHeal), else at its next sync. "
                f"automated.enabled=false in the Application's syncPolicy suspends it; under an ApplicationSet nothing "
                f"holds."
            )
        case Program.KUSTOMIZE:
            on = "each of them" if plural else "it"
            return f"{says} at its next interval. The annotation {_RECONCILE}: disabled on {on} suspends it."
        case Program.HELM_OF_FLUX:
            return (
                f"{says} at its next interval where it corrects drift, else with its next upgrade. `flux suspend "
                f"helmrelease{f' {owner.name}' if owner.name else ''}` suspends it."
            )
        case Program.HELM:
            return f"{says} with its next upgrade."
    return f"{who(owner)} may undo the rollback of {what} at any moment."
