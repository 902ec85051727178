"""Closing and opening traffic on a real cluster, watched by a client that connects anew 50 times a second."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pytest

from tests.cluster import images
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import PORT, Shop, shop_manifests
from tests.cluster.steps import live, patch, unchanged
from tests.conftest import busy

pytestmark = pytest.mark.alone

GATEWAY = "api-gateway"
SERVICES = (GATEWAY, "user-service")
PER_SECOND = 50


class Answered(NamedTuple):
    """One request: when it was sent and answered (monotonic seconds), its status (0: no connection), and its text."""

    sent: float
    done: float
    status: int
    text: str

    @property
    def from_shop(self) -> bool:
        return self.status == 200


class Client:
    """New connections through kube-proxy at a steady pace, each in a thread, so that a slow one delays no other."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answers: list[Answered] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def ask(self) -> None:
        sent = time.monotonic()
        try:
            connection = http.client.HTTPConnection(self.address, 80, timeout=2)
            connection.request("GET", "/")
            answer = connection.getresponse()
            found = (answer.status, answer.read(2000).decode(errors="replace").strip())
            connection.close()
        except OSError as error:
            found = (0, str(error))
        except http.client.HTTPException as error:
            found = (0, type(error).__name__)
        self.answers.append(Answered(sent, time.monotonic(), *found))

    def _run(self) -> None:
        at = time.monotonic()
        while not self._stop.is_set():
            thread = threading.Thread(target=self.ask, daemon=True)
            thread.start()
            self._threads.append(thread)
            at += 1 / PER_SECOND
            self._stop.wait(max(0.0, at - time.monotonic()))

    def __enter__(self) -> "Client":
        self._main = threading.Thread(target=self._run, daemon=True)
        self._main.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._stop.set()
        self._main.join()
        for thread in self._threads:
            thread.join(timeout=5)
        self.answers.sort()


def failed_shop(shop: ShopFactory, isolation: dict[str, Any], **verify: Any) -> Shop:
    """v1.2.0 runs, healthy as far as Kubernetes can see."""
    made = shop(services=SERVICES)
    made.deploy("v1.1.0")
    made.wait_ready()
    made.deploy("v1.2.0")
    made.wait_ready()
    where = {"context": "test", "namespace": made.namespace, "isolation": isolation}
    made.rollback_yaml({"environments": {"prod": where}, **({"verify": verify} if verify else {})})
    return made


def address(shop: Shop) -> str:
    return str(live(shop, "service", GATEWAY)["spec"]["clusterIP"])


def writes(shop: Shop, mark: int) -> list[float]:
    """When the Service was written since the mark, by this machine's monotonic clock: closing first, opening last."""
    offset = time.monotonic() - time.time()
    found = [w for w in shop.cluster.writes(mark, namespace=shop.namespace) if _is_gateway(w)]
    return [_seconds(w["stageTimestamp"]) + offset for w in found]


def _is_gateway(write: dict[str, Any]) -> bool:
    where = write.get("objectRef") or {}
    dry = "dryRun" in str(write.get("requestURI"))
    return (where.get("resource"), where.get("name")) == ("services", GATEWAY) and not dry


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def around(answers: Sequence[Answered], closed: float, opened: float) -> tuple[float, float]:
    """(seconds from closing to the last request that the shop took, from opening to the first that it took again)."""
    during = [a for a in answers if a.from_shop and closed <= a.sent < opened]
    after = [a for a in answers if a.from_shop and a.sent >= opened]
    assert after, "the shop was never served again"
    return max((a.sent for a in during), default=closed) - closed, after[0].sent - opened


@pytest.fixture
def isolation() -> dict[str, Any]:
    return {"mode": "service", "targets": [GATEWAY], "drain": "2s"}


def test_closing_and_opening_take_under_a_second_and_nothing_reaches_the_shop_in_between(
    shop: ShopFactory, isolation: dict[str, Any]
) -> None:
    made = failed_shop(shop, isolation, smoke=[{"service": GATEWAY, "path": "/"}])
    product, before = Product(made), live(made, "service", GATEWAY)
    mark = made.cluster.audit_mark()
    with Client(address(made)) as client:
        time.sleep(0.5)
        ended = product.run("--isolate")
        time.sleep(1.5)
    closed, opened = writes(made, mark)
    to_close, to_open = around(client.answers, closed, opened)
    print(f"closed after {to_close:.2f} s, open after {to_open:.2f} s, {len(client.answers)} connections")
    allowed = busy()  # a second, where the machine has nothing else to do
    assert to_close < allowed
    assert to_open < allowed
    refused = [a for a in client.answers if closed + to_close < a.sent < opened]
    assert len(refused) > PER_SECOND, "it was closed for longer than a second"
    assert not [a for a in refused if a.from_shop]
    assert [a for a in client.answers if a.sent < closed and not a.from_shop] == []
    after = live(made, "service", GATEWAY)
    assert after["spec"] == before["spec"]
    for part in ("labels", "annotations"):
        assert after["metadata"].get(part) == before["metadata"].get(part)
    assert "traffic is open" in ended.last_line
    assert made.served(GATEWAY) == "v1.1.0"


def test_smoke_tests_reach_the_pods_while_traffic_is_closed_and_a_failed_one_leaves_it_closed(
    shop: ShopFactory, isolation: dict[str, Any]
) -> None:
    made = failed_shop(shop, isolation, smoke=[{"service": GATEWAY, "path": "/not-there"}])
    product = Product(made)
    ended = product.run("--isolate", code=5)
    assert "404" in ended.out + ended.err, "the pod itself answered"
    assert "TRAFFIC IS CLOSED" in ended.last_line
    with pytest.raises(AssertionError):
        assert made.served(GATEWAY) == "v1.1.0"
    namespace = f"--namespace={made.namespace}"
    opened = product("reopen", namespace, "--context=test", "--yes")
    assert f"Service/{GATEWAY} opened" in opened.last_line
    assert made.served(GATEWAY) == "v1.1.0"


def test_a_connection_that_was_open_is_answered_within_the_drain(shop: ShopFactory) -> None:
    made = failed_shop(shop, {"mode": "service", "targets": [GATEWAY], "drain": "5s"})
    product = Product(made)
    connection = http.client.HTTPConnection(address(made), 80, timeout=5)
    connection.connect()
    found: list[int] = []

    def ask_once_closed() -> None:
        deadline = time.monotonic() + 30
        while "rollback-lib/closed" not in (live(made, "service", GATEWAY)["metadata"].get("labels") or {}):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(1.5)  # no node sends new connections any more
        connection.request("GET", "/")
        found.append(connection.getresponse().status)

    asking = threading.Thread(target=ask_once_closed)
    asking.start()
    product.run("--isolate")
    asking.join()
    connection.close()
    assert found == [200]


def surging(shop: Shop, release: str) -> dict[str, str]:
    """The shop as it should be written: a pod goes on serving for a moment after it is told to leave."""
    stop = '        lifecycle: {preStop: {exec: {command: ["sleep", "2"]}}}\n'
    files = shop_manifests(shop, release)
    return {path: text.replace("        ports:\n", stop + "        ports:\n", 1) for path, text in files.items()}


def rolled_back_under_load(made: Shop, *arguments: str) -> Client:
    """The client that asked all the while: v1.2.0 is deployed over v1.1.0, and rolled back."""
    for release in ("v1.1.0", "v1.2.0"):
        made.deploy(release)
        made.wait_ready()
    made.rollback_yaml()
    product = Product(made)
    with Client(address(made)) as client:
        time.sleep(0.5)
        product.run(*arguments)
        time.sleep(3)
    return client


def test_with_traffic_open_and_a_healthy_surge_no_request_fails(shop: ShopFactory, isolation: dict[str, Any]) -> None:
    made = shop(services=SERVICES, manifests=surging)
    client = rolled_back_under_load(made, "--no-isolate")
    failed = [a for a in client.answers if not a.from_shop]
    assert failed == []
    assert (client.answers[0].text, client.answers[-1].text) == ("v1.2.0", "v1.1.0")
    assert len(client.answers) > 4 * PER_SECOND


def ask(host: str, port: int) -> tuple[int, str | None, str]:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    connection.request("POST", "/any/path")
    answer = connection.getresponse()
    found = answer.status, answer.headers["Retry-After"], answer.read().decode()
    connection.close()
    return found


def test_our_page_takes_over_on_every_port_by_number_and_name_and_goes_when_the_shop_is_back(
    shop: ShopFactory, isolation: dict[str, Any]
) -> None:
    made = shop(services=SERVICES)
    page = made.image("page")
    images.push(made.cluster.registry_url, page.partition(":")[0], "prod", "page", "page")
    text = {"image": page, "language": "es", "message": 'Ya volvemos, "pronto" & $gratis', "retry_after": "30s"}
    for release in ("v1.1.0", "v1.2.0"):
        made.deploy(release)
        made.wait_ready()
    where = {"context": "test", "namespace": made.namespace, "isolation": {**isolation, "maintenance": text}}
    smoke = [{"service": GATEWAY, "path": "/not-there"}]
    made.rollback_yaml({"environments": {"prod": where}, "verify": {"smoke": smoke}})
    ports = [
        {"name": "http", "port": 80, "targetPort": PORT},
        {"name": "admin", "port": 81, "targetPort": 81},
        {"name": "named", "port": 82, "targetPort": "web"},
    ]
    patch(made, f"service/{GATEWAY}", {"spec": {"ports": ports}})
    product, host = Product(made), address(made)
    with Client(host) as client:
        product.run("--isolate", code=5)
        time.sleep(1)
    kinds = Counter(a.status for a in client.answers)
    assert set(kinds) <= {200, 503}, "page or shop, and never nothing"
    assert kinds[503] > PER_SECOND
    for port in (80, 81, 82):
        status, after, body = ask(host, port)
        assert (status, after) == (503, "30"), port
        assert "Ya volvemos, &quot;pronto&quot; &amp; &#36;gratis" in body
    with Client(host) as client:
        product("reopen", "--environment=prod", "--yes")
        time.sleep(1)
    assert set(Counter(a.status for a in client.answers)) <= {200, 503}
    assert client.answers[-1].from_shop
    left = live(made, "deployments,configmaps,services", "--selector=rollback-lib/maintenance")["items"]
    assert left == []


def test_c40_a_controller_that_sets_the_selector_back_is_named_and_nothing_is_applied(
    shop: ShopFactory, isolation: dict[str, Any]
) -> None:
    made = failed_shop(shop, isolation)
    product, over = Product(made), threading.Event()
    selector = live(made, "service", GATEWAY)["spec"]["selector"]
    whole = json.dumps([{"op": "replace", "path": "/spec/selector", "value": selector}])

    def set_back() -> None:
        while not over.wait(2):
            made.cluster.kubectl(
                "patch", f"service/{GATEWAY}", "--type=json", f"--patch={whole}", "--field-manager=flagger",
                namespace=made.namespace,
            )  # fmt: skip

    loop = threading.Thread(target=set_back)
    loop.start()
    try:
        ended = product.run("--isolate", code=4)
    finally:
        over.set()
        loop.join()
    assert f"Service/{GATEWAY} was closed, but flagger opened it again." in " ".join((ended.out + ended.err).split())
    assert "traffic is open" in ended.last_line
    assert made.served(GATEWAY) == "v1.2.0", "nothing was applied"
    meta = live(made, "service", GATEWAY)["metadata"]
    assert "rollback-lib/closed" not in (meta.get("labels") or {})


def versioned(shop: Shop, release: str) -> dict[str, str]:
    """Pods carry their version and the gateway's Service selects it."""
    label = "      labels:\n        app: "
    files = surging(shop, release)
    for service in SERVICES:
        path = f"k8s/{service}/deployment.yaml"
        files[path] = files[path].replace(label + service, f"{label}{service}\n        version: {release}")
    path = f"k8s/{GATEWAY}/service.yaml"
    files[path] = files[path].rstrip("\n") + f"\n    version: {release}\n"
    return files


def test_c41_a_selector_that_names_the_release_moves_without_a_failed_second(
    shop: ShopFactory, isolation: dict[str, Any]
) -> None:
    made = shop(services=SERVICES, manifests=versioned)
    client = rolled_back_under_load(made)
    assert all(any(a.from_shop for a in client.answers if t <= a.sent < t + 1) for t in _seconds_of(client.answers))
    assert client.answers[-1].text == "v1.1.0"
    assert live(made, "service", GATEWAY)["spec"]["selector"]["version"] == "v1.1.0"


def _seconds_of(answers: Sequence[Answered]) -> list[float]:
    first, last = answers[0].sent, answers[-1].sent
    return [first + n for n in range(int(last - first))]


def test_closed_a_selector_that_names_the_release_opens_on_the_target(
    shop: ShopFactory, isolation: dict[str, Any]
) -> None:
    made = shop(services=SERVICES, manifests=versioned)
    for release in ("v1.1.0", "v1.2.0"):
        made.deploy(release)
        made.wait_ready()
    where = {"context": "test", "namespace": made.namespace, "isolation": isolation}
    made.rollback_yaml({"environments": {"prod": where}})
    product = Product(made)
    product.run("--isolate")
    assert live(made, "service", GATEWAY)["spec"]["selector"] == {"app": GATEWAY, "version": "v1.1.0"}
    assert made.served(GATEWAY) == "v1.1.0"
    unchanged(made, product)
