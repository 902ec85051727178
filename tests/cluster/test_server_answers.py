"""What a real API server quotes when it refuses: nothing of it leaves, and the cause and its place are told."""

from tests.cluster import images
from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.shop import SHARED, Shop, shop_manifests
from tests.cluster.steps import patch

NAME, SECRET = "user-service", "q9Xw-planted-value"
FILE = f"k8s/{NAME}/deployment.yaml"
EXACT = ("manifests", "before")


def unquoted(shop: Shop, release: str) -> dict[str, str]:
    """v1.1.0 has numbers where text is meant; nothing but a dry run shows it, since it was never applied as it is."""
    files = dict(shop_manifests(shop, release))
    if release == "v1.1.0":
        files[FILE] = files[FILE].replace('value: "dev"', "value: 12e3", 1)
        files[SHARED] = files[SHARED].replace("\ndata:\n", "\ndata:\n  number: 5\n")
    return files


def test_unquoted_values_are_refused_by_their_place_and_no_secret_leaves(shop: ShopFactory) -> None:
    made = shop(services=(NAME,), manifests=unquoted)
    made.rollback_yaml()
    for release in ("v1.0.0", "v1.2.0"):
        made.deploy(release, set_env={"GREETING": SECRET})
        made.wait_ready()
    images.push(made.cluster.registry_url, f"{made.organization}/{NAME}", "v1.1.0", "good", "v1.1.0")
    patch(made, "configmap/common-config", {"data": {"theirs": SECRET}})
    product = Product(made)
    ended = product.run(code=3)
    said = " ".join((ended.out + ended.err).split())
    lines = {file: made.git("show", f"v1.1.0:{file}").splitlines() for file in (FILE, SHARED)}
    at = {
        file: next(n for n, t in enumerate(text, 1) if "12e3" in t or "number: 5" in t) for file, text in lines.items()
    }
    assert f"{FILE}:{at[FILE]}: spec.template.spec.containers[0].env[0].value is a number" in said
    assert f"{SHARED}:{at[SHARED]}: data.number is a number, where only text may be. Put it in quotes there" in said
    assert "cannot unmarshal number into Go struct field" in said
    assert SECRET not in said
    kept = [p for p in product.latest.rglob("*") if p.is_file() and p.relative_to(product.latest).parts[0] not in EXACT]
    assert [str(p) for p in kept if SECRET in p.read_text("utf-8", "replace")] == []
    skips = ("--accept=skip:ConfigMap/common-config", f"--accept=skip:Deployment/{NAME}")
    product.plan(*skips)
