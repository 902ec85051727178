"""A whole story, with texts from outside in every place that a run takes texts from."""

from __future__ import annotations

from typing import Any

import msgspec

from rollback_lib.core.kube.snapshot import ClusterIdentity
from rollback_lib.core.plan.model import Orphan, Plan, PlannedContainer, PlannedObject, PlannedService
from rollback_lib.core.releases.current import MutableTag
from rollback_lib.core.releases.tags import ReleaseRef
from rollback_lib.core.report.story import Story
from rollback_lib.core.run.journal import Event, Mark, ending
from rollback_lib.core.run.records import (
    Approval,
    CheckResult,
    Detection,
    Finding,
    Incident,
    Request,
    Try,
    Verification,
    VerifiedWorkload,
)
from rollback_lib.core.settings import model

GOOD, BAD = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SETTINGS = """
application: shop
manifests: {path: "k8s/{service}"}
environments: {prod: {context: test, namespace: shop, timezone: Europe/Madrid}}
verify: {smoke: [{service: user, path: /health}]}
"""


def request(**more: Any) -> Request:
    values: dict[str, Any] = {
        "run": "r1", "application": "shop", "environment": "prod", "to": "v1", "by": "ana",
        "origin": "https://ci.example/job/rollback/7/", "started": "2026-07-01T02:41:00.000+00:00",
        "reason": "checkout answers 500", "settings": model.load(SETTINGS), **more,
    }  # fmt: skip
    return Request(**values)


def plan(text: str = "", **more: Any) -> Plan:
    container = PlannedContainer(
        name="cart", workload="Deployment/cart", from_="team/cart:prod", to=f"team/cart:v1@{GOOD}", digest=GOOD,
        rung="reference",
    )  # fmt: skip
    objects = (
        PlannedObject(kind="Deployment", name="cart", change="update", kept=(f"spec.replicas {text}",)),
        PlannedObject(kind="Job", name="old", change="left", why=f"jobs are not run again {text}"),
    )
    values: dict[str, Any] = {
        "run": "r1", "application": "shop", "environment": "prod", "namespace": "shop",
        "cluster": ClusterIdentity(context="test", server="https://k8s", namespace="shop", namespace_uid="uid"),
        "current": ReleaseRef(release="v2", commit="b" * 40), "accepted": ("unproven-target", "reference-image"),
        "target": ReleaseRef(release="v1", commit="a" * 40, chosen_by="--to"), "hash": "c" * 64,
        "services": (PlannedService(name="cart", wave=1, objects=objects, containers=(container,)),),
        "orphans": (Orphan(kind="Service", name="new", change="left", why=f"an owner {text}"),),
        "mutable_tags": (MutableTag(reference="team/cart:prod", digest=BAD, release="v2"),),
        "warnings": (f"a warning {text}",), **more,
    }  # fmt: skip
    return Plan(**values)


def at(second: float) -> str:
    return f"2026-07-01T02:41:{second:06.3f}+00:00"


def events(text: str = "", *, failed: bool = False) -> tuple[Event, ...]:
    rows: list[tuple[Mark, str, dict[str, Any]]] = [
        (Mark.STAGE_BEGIN, "preflight", {}), (Mark.STAGE_DONE, "preflight", {}),
        (Mark.STAGE_BEGIN, "approve", {}), (Mark.STAGE_DONE, "approve", {}),
        (Mark.STAGE_BEGIN, "isolate", {}),
        (Mark.ANNOUNCED, "isolate", {"key": "lock/take", "what": "lock"}),
        (Mark.DONE, "isolate", {"key": "lock/take", "what": "lock"}),
        (Mark.ANNOUNCED, "isolate", {"key": "close/service/gateway/1", "what": "gateway closed"}),
        (Mark.DONE, "isolate", {"key": "close/service/gateway/1", "what": "gateway closed"}),
        (Mark.STAGE_DONE, "isolate", {}), (Mark.STAGE_BEGIN, "apply", {}),
        (Mark.ANNOUNCED, "apply", {"key": "apply/deployment/cart", "what": f"Deployment/cart put back {text}"}),
        (Mark.DONE, "apply", {"key": "apply/deployment/cart", "what": f"Deployment/cart put back {text}"}),
    ]  # fmt: skip
    if failed:
        rows.append((Mark.STAGE_FAILED, "apply", {"error": f"the network is gone {text}", "code": 4}))
    else:
        rows += [
            (Mark.STAGE_DONE, "apply", {}), (Mark.STAGE_BEGIN, "verify", {}), (Mark.STAGE_DONE, "verify", {}),
            (Mark.DONE, "reopen", {"key": "open/service/gateway/1", "what": "gateway opened"}),
            (Mark.DONE, "reopen", {"key": "lock/release", "what": "lock given back"}),
            (Mark.NOT_TOLD, "document", {"key": "tell/done/slack", "what": "slack: done", "error": f"answers {text}"}),
        ]  # fmt: skip
    return tuple(Event(seq=i, at=at(i + 10), mark=m, stage=s, **more) for i, (m, s, more) in enumerate(rows))


def whole(text: str = "", *, failed: bool = False) -> Story:
    """A run that restored, or failed in `apply` with traffic closed; ``text`` stands wherever others write text."""
    made = events(text, failed=failed)
    workload = VerifiedWorkload(
        service="cart", kind="Deployment", name="cart", health="failed" if failed else "healthy", ready=1, desired=1,
        message=f"1 of 1 ready {text}", digests=(GOOD,), logs=(f"cart-1/cart: {text}", f"cart-1/cart: again {text}"),
    )  # fmt: skip
    stands = ending(made)
    if failed:  # whatever closes traffic
        stands = msgspec.structs.replace(stands, traffic="closed", code=5)
    return Story(
        events=made, ending=stands, request=request(reason=f"checkout answers 500 {text}"), plan=plan(text),
        detection=Detection(
            verdict="broken", reasons=(f"cart crashes {text}",), since="2026-07-01T02:31:00+00:00",
            findings=(
                Finding(
                    severity="broken", source="workloads", text=f"crashes {text}", service="cart",
                    since="2026-07-01T02:31:00+00:00", cause="CrashLoopBackOff", link="https://grafana.example/d/1",
                ),
                Finding(severity="suspect", source="logs", text=text or "slow", link=f"javascript:alert(1){text}"),
            ),
        ),
        incident=Incident(id="inc-1", opened=at(5), evidence=("evidence/cart.log",), missing=(f"a pod {text}",)),
        approval=Approval(hash="c" * 64, by="luis", how="ROLLBACK_APPROVED_HASH", at=at(13)),
        verification=Verification(
            healthy=not failed, workloads=(workload,), at=at(27), smoke=(f"user/health: 200 {text}",),
            problems=(f"cart is not ready {text}",) if failed else (),
            checks=(
                CheckResult(
                    service="user", kind="smoke", name=f"/health {text}", good=not failed, text=f"503 {text}",
                    tries=(Try(at=at(26), good=False, text=text),),
                ),
            ),
        ),
    )  # fmt: skip
