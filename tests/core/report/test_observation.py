"""How traffic is said to be: by what was seen of the cluster, and by what the run itself did since."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rollback_lib.core.kube.objects import Object
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.report.observation import Closed, Looked, how_it_stands, looked, of_traffic
from rollback_lib.core.run.journal import Event, Mark
from rollback_lib.core.settings.model import Isolation
from rollback_lib.core.traffic import slots

SERVICE: Object = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}},
}  # fmt: skip
BY_HAND: Object = {
    "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
    "metadata": {"name": "shop", "labels": {slots.CLOSED: "r0"}},
}  # fmt: skip
SHUT = slots.close(SERVICE, None, run="r0", since="2026-03-01T12:00:00Z")
CLOSED = Looked(why="", closed=(Closed(kind="Service", name="web", run="r0"),))
OPEN = Looked(why="")
CLOSES, OPENS, APPLIES = "close/service/web/1", "open/service/web/1", "apply/deployment/web"


def journal(*lines: tuple[Mark, str]) -> list[Event]:
    return [Event(seq=n, at="", mark=mark, stage="apply", key=key) for n, (mark, key) in enumerate(lines)]


@pytest.mark.parametrize(
    ("seen", "lines", "state"),
    [
        (None, [], "unknown"),
        (None, [(Mark.DONE, APPLIES)], "unknown"),
        (None, [(Mark.DONE, CLOSES), (Mark.DONE, OPENS)], "unknown"),
        (None, [(Mark.DONE, CLOSES)], "closed"),
        (OPEN, [(Mark.DONE, APPLIES)], "open"),
        (OPEN, [(Mark.DONE, CLOSES)], "closed"),
        (OPEN, [(Mark.ANNOUNCED, CLOSES)], "closed"),
        (OPEN, [(Mark.DONE, CLOSES), (Mark.DONE, OPENS)], "open"),
        (CLOSED, [(Mark.DONE, APPLIES)], "closed"),
        (CLOSED, [(Mark.DONE, OPENS)], "open"),
        (CLOSED, [(Mark.SEEN, OPENS)], "open"),
        (CLOSED, [(Mark.ANNOUNCED, OPENS)], "closed"),
        (CLOSED, [(Mark.DONE, "open/service/other/1")], "closed"),
    ],
)
def test_traffic_is_open_only_where_it_was_seen_open_or_opened_since(
    seen: Looked | None, lines: Sequence[tuple[Mark, str]], state: str
) -> None:
    assert how_it_stands(journal(*lines), seen).traffic == state


def test_what_was_opened_before_the_look_does_not_speak_for_what_was_seen_after_it() -> None:
    again = Looked(why="", closed=CLOSED.closed, seq=2)
    assert how_it_stands(journal((Mark.DONE, CLOSES), (Mark.DONE, OPENS)), again).traffic == "closed"


@pytest.mark.parametrize(
    ("objects", "refused", "mode", "said"),
    [
        ({}, {}, "none", "traffic is open"),
        ({"Service": SERVICE}, {}, "service", "traffic is open"),
        ({"Service": SHUT}, {}, "none", "TRAFFIC IS CLOSED by run r0 since 2026-03-01T12:00:00Z, and"),
        ({"Ingress": BY_HAND}, {}, "service", "TRAFFIC IS CLOSED by run r0, and `rollback reopen -e prod` opens it"),
        ({"HTTPRoute": {**BY_HAND, "kind": "HTTPRoute"}}, {}, "none", "TRAFFIC IS CLOSED by run r0"),
        ({}, {"Service": "cannot list services"}, "none", "traffic is unknown: cannot list services"),
        ({}, {"Ingress": "cannot list ingresses"}, "ingress", "traffic is unknown: cannot list ingresses"),
        ({}, {"Ingress": "cannot list ingresses"}, "service", "traffic is open (Ingress not looked at)"),
    ],
)
def test_a_look_says_what_the_objects_say(
    objects: dict[str, Object], refused: dict[str, str], mode: str, said: str
) -> None:
    snapshot = Snapshot({kind: {o["metadata"]["name"]: o} for kind, o in objects.items()}, refused)
    seen = looked(snapshot, Isolation(mode=mode, targets=("web",) if mode != "none" else ()), at="", seq=0)
    assert of_traffic(how_it_stands((), seen), "prod").startswith(said)


def test_a_kind_that_the_cluster_does_not_serve_closes_nothing() -> None:
    snapshot = Snapshot({}, {"HTTPRoute": "not served"}, frozenset({"HTTPRoute"}))
    seen = looked(snapshot, Isolation(mode="ingress", targets=("web",)), at="", seq=0)
    assert of_traffic(how_it_stands((), seen), "") == "traffic is open"
