"""Who is Ready at every moment: the pods of a namespace as a watch tells of them, from a thread."""

import json
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.cluster.shop import Shop


class Watched:
    """``counts``: how many pods were Ready and not on their way out, after each event."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self._ready: dict[str, bool] = {}

    def see(self, kind: str, pod: dict[str, Any]) -> None:
        meta = pod["metadata"]
        conditions = (pod.get("status") or {}).get("conditions") or []
        ready = any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)
        self._ready[meta["uid"]] = kind != "DELETED" and ready and "deletionTimestamp" not in meta
        self.counts.append(sum(self._ready.values()))


@contextmanager
def ready_pods(shop: Shop, service: str) -> Iterator[Watched]:
    """Watch the service's pods meanwhile."""
    state = shop.cluster.state
    assert state is not None
    path = f"/api/v1/namespaces/{shop.namespace}/pods?labelSelector=app%3D{service}&timeoutSeconds=170"
    context, headers = ssl._create_unverified_context(), {"Authorization": f"Bearer {state.admin_token}"}

    def ask(query: str) -> Any:
        request = urllib.request.Request(state.server + path + query, headers=headers)
        return urllib.request.urlopen(request, context=context, timeout=180)

    seen, over = Watched(), threading.Event()
    with ask("") as answer:
        listed = json.load(answer)
    for pod in listed["items"]:
        seen.see("ADDED", pod)
    began = len(seen.counts)
    stream = ask(f"&watch=1&resourceVersion={listed['metadata']['resourceVersion']}")

    def follow() -> None:
        for line in stream:
            event = json.loads(line)
            if event["type"] == "BOOKMARK":
                continue
            assert event["type"] in ("ADDED", "MODIFIED", "DELETED"), event
            if event["object"]["metadata"]["name"] == f"{service}-last":
                over.set()
                return
            seen.see(event["type"], event["object"])

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield seen
        # what the server tells of this one comes after all that it has told before
        shop.cluster.kubectl("run", f"{service}-last", f"--labels=app={service}", "--image=x/y:1",
                             namespace=shop.namespace)  # fmt: skip
        assert over.wait(10), "the watch has ended too early"
    finally:
        stream.close()
    del seen.counts[: max(0, began - 1)]
