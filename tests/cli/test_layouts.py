"""First contact: layouts as teams have them. What `init` and `plan` leave out is named, and prod is never dev."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from rollback_lib.core.manifests import services
from rollback_lib.core.readouts import environments
from rollback_lib.core.readouts.environments import is_prod
from rollback_lib.core.settings import model
from rollback_lib.core.settings.model import Settings
from tests.cli.desk import command
from tests.command_line import Ended
from tests.git_repository import RepositoryBuilder

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
KINDS: Final = ("Deployment", "StatefulSet", "DaemonSet", "CronJob")


def app(name: str, namespace: str = "", image: str = "", kind: str = "Deployment") -> str:
    where = f", namespace: {namespace}" if namespace else ""
    return (
        f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}{where}}}\n"
        f"spec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n"
        f"    metadata: {{labels: {{app: {name}}}}}\n"
        f"    spec: {{containers: [{{name: {name}, image: '{image or f'team/{name}:1.0'}'}}]}}\n"
    )


def service(name: str) -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: {name}}}}}\n"


def config(name: str, namespace: str = "") -> str:
    where = f", namespace: {namespace}" if namespace else ""
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}{where}}}\ndata: {{a: b}}\n"


def base(*resources: str, **more: object) -> str:
    return json.dumps({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
                       "resources": list(resources), **more})  # fmt: skip


def job(*lines: str) -> str:
    return "pipeline {\n" + "\n".join(f"  sh 'kubectl {line}'" for line in lines) + "\n}\n"


CHART = {
    "Chart.yaml": "apiVersion: v2\nname: shop\nversion: 0.1.0\n", "values.yaml": "tag: a\n",
    "templates/d.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}}\n",
}  # fmt: skip


class Shape(NamedTuple):
    """A layout; the namespace of each environment that `init` is to find; words that have to stand on its screen or in
    its file; how `plan` ends.
    """

    files: Mapping[str, str]
    spaces: Mapping[str, str]
    said: tuple[str, ...] = ()
    code: int = 0


def of_all(environments: tuple[str, ...], files: Mapping[str, str]) -> dict[str, str]:
    return {path.format(e=e): text.replace("NS", f"shop-{e}") for e in environments for path, text in files.items()}


THREE: Final = ("dev", "stage", "prod")
SPACES: Final = {e: f"shop-{e}" for e in THREE}
SHAPES: Final = {
    "a folder a service": Shape({f"k8s/{s}/d.yaml": app(s, "shop") for s in ("cart", "web")}, {"prod": "shop"}),
    "a file a service": Shape({f"k8s/{s}.yaml": app(s, "shop") for s in ("cart", "web")}, {"prod": "shop"}),
    "one file": Shape({"deploy/all.yaml": app("cart") + "---\n" + app("web")}, {"prod": "default"}),
    "a workload and its neighbours": Shape(
        {"k8s/deployment.yaml": app("cart"), "k8s/service.yaml": service("cart"), "k8s/config.yml": config("cart")},
        {"prod": "default"},
    ),
    "all at the root": Shape(
        {"deployment.yaml": app("cart"), "service.yaml": service("cart"), "mkdocs.yml": "site: x\n"},
        {"prod": "default"},
    ),
    "a folder an environment": Shape(
        of_all(THREE, {"k8s/{e}/d.yaml": app("cart", "NS"), "k8s/{e}/s.yaml": service("cart")}), SPACES,
        ("k8s/{environment}",),
    ),
    "a folder an environment, a folder a service": Shape(
        of_all(THREE, {f"k8s/{{e}}/{s}/d.yaml": app(s, "NS") for s in ("cart", "web")}), SPACES,
        ("k8s/{environment}/{service}",),
    ),
    "the environment below the service": Shape(
        of_all(THREE, {f"{s}/k8s/{{e}}/d.yaml": app(s, "NS") for s in ("cart", "web")}), SPACES,
        ("{service}/k8s/{environment}",),
    ),
    "an environment more than the others": Shape(
        {**of_all(THREE, {"k8s/{e}/d.yaml": app("cart", "NS")}), "k8s/dev/mail.yaml": app("mailhog", "shop-dev")},
        SPACES,
    ),
    "production and canary": Shape(
        {"deploy/production/d.yaml": app("cart"), "deploy/canary/d.yaml": app("cart-canary"),
         "deploy/services/s.yaml": service("cart")},
        {"production": "default", "canary": "default"},
    ),
    "canary beside the shop": Shape(
        {"deploy/canary/d.yaml": app("cart"), "deploy/cart.yaml": app("cart"), "deploy/web.yaml": app("web")},
        {"prod": "default", "canary": "default"},
    ),
    "only dev": Shape({"k8s/dev/d.yaml": app("cart")}, {"dev": "default"}),
    "a namespace that is dev": Shape({f"k8s/{s}.yaml": app(s, "shop-dev") for s in "ab"}, {"dev": "shop-dev"}),
    "namespaces by the job": Shape(
        {"k8s/cart/d.yaml": app("cart"), "k8s/web/d.yaml": app("web"),
         "Jenkinsfile": job("apply -f k8s -n shop-dev", "apply -f k8s -n shop")},
        {"prod": "shop", "dev": "shop-dev"},
    ),
    "before production": Shape(
        of_all(("pre-prod", "prod"), {"k8s/{e}/d.yaml": app("cart", "NS")}),
        {"prod": "shop-prod", "pre-prod": "shop-pre-prod"},
    ),
    "two productions": Shape(
        of_all(("prod-eu", "prod-us"), {"k8s/{e}/d.yaml": app("cart", "NS")}),
        {"prod-eu": "shop-prod-eu", "prod-us": "shop-prod-us"},
    ),
    "the environment in the file's name": Shape(
        of_all(("dev", "prod"), {"k8s/cart-{e}.yaml": app("cart", "NS"), "k8s/web-{e}.yaml": app("web", "NS")}),
        {"prod": "shop-prod", "dev": "shop-dev"},
    ),
    "an environment has only its configuration": Shape(
        {"k8s/cart.yaml": app("cart"), **of_all(("dev", "prod"), {"k8s/{e}/c.yaml": config("c", "NS")})},
        {"prod": "shop-prod", "dev": "shop-dev"},
    ),
    "folders of environments that are called otherwise": Shape(
        {"deploy/production/d.yaml": app("cart", "shop"), "dev/k8s/d.yaml": app("cart", "shop-dev")},
        {"production": "shop", "dev": "shop-dev"},
    ),
    "one for all and one's own": Shape(
        {"k8s/base/cart.yaml": app("cart"), "k8s/base/redis.yaml": app("redis"), "k8s/prod/cart.yaml": app("cart")},
        {"prod": "default"},
    ),
    "monitoring is neater than the shop": Shape(
        {**{f"k8s/monitoring/{s}.yaml": app(s) for s in ("grafana", "loki")},
         **{f"k8s/shop/{s}-deployment.yaml": app(s) for s in ("cart", "web", "user")}},
        {"prod": "default"},
    ),
    "folders that are not called as what is in them": Shape(
        {"k8s/backend/d.yaml": app("api"), "k8s/frontend/d.yaml": app("web"), "k8s/db/d.yaml": app("pg")},
        {"prod": "default"},
    ),
    "manifests beside the code": Shape(
        {"frontend/deploy.yaml": app("web"), "backend/k8s/d.yaml": app("api"), "backend/k8s/s.yaml": service("api")},
        {"prod": "default"},
    ),
    "what stands twice": Shape(
        {"k8s/all.yaml": app("cart", image="x:1") + "---\n" + app("web"), "k8s/cart.yaml": app("cart"),
         "k8s/web.yaml": app("web")},
        {"prod": "default"}, ("k8s/all.yaml",),
    ),
    "files that are no manifests": Shape(
        {"k8s/cart/d.yaml": app("cart"), "k8s/web/d.yaml": app("web"), "k8s/web/values.yaml": "a: b\n",
         "k8s/docker-compose.yml": "services: {}\n"},
        {"prod": "default"}, ("compose",),
    ),
    "examples and tests beside the shop": Shape(
        {"k8s/a.yaml": app("cart"), "k8s/b.yaml": app("web"), "examples/d.yaml": app("sample"),
         "tests/d.yaml": app("load")},
        {"prod": "default"}, ("Deployment/sample (examples/d.yaml)", "Deployment/load (tests/d.yaml)"),
    ),
    "a placeholder that yaml does not read": Shape(
        {f"k8s/{s}/d.yaml": app(s, image="x").replace("'x'", "{{IMAGE}}") for s in ("cart", "web")},
        {"prod": "default"},
    ),
    "a list": Shape(
        {"k8s/all.json": json.dumps({"apiVersion": "v1", "kind": "List", "items": [yaml.safe_load(app(s)) for s in
                                                                                   ("cart", "web")]})},
        {"prod": "default"},
    ),
    "kinds of every sort": Shape(
        {f"k8s/{k.lower()}.yaml": app(k.lower(), kind=k) for k in ("Deployment", "StatefulSet", "DaemonSet")},
        {"prod": "default"},
    ),
    "a kustomization that only lists": Shape(
        {"k8s/kustomization.yaml": base("cart.yaml"), "k8s/cart.yaml": app("cart"), "k8s/s.yaml": service("cart")},
        {"prod": "default"},
    ),
    "kustomize overlays": Shape(
        {"k8s/base/kustomization.yaml": base("cart.yaml"), "k8s/base/cart.yaml": app("cart"),
         **of_all(("staging", "prod"), {"k8s/overlays/{e}/kustomization.yaml": base("../../base", namespace="NS")})},
        {"prod": "shop-prod", "staging": "shop-staging"}, ("kubectl kustomize k8s/overlays/prod", "Deployment/cart"),
        3,
    ),
    "a kustomized service beside plain ones": Shape(
        {"k8s/base/kustomization.yaml": base("cart.yaml"), "k8s/base/cart.yaml": app("cart"),
         "k8s/overlays/prod/kustomization.yaml": base("../../base", patches=[{"path": "p.yaml"}]),
         "k8s/overlays/prod/p.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\n"
                                     "spec: {replicas: 3}\n",
         "k8s/web.yaml": app("web")},
        {"prod": "default"}, ("k8s/overlays/prod makes Deployment/cart",),
    ),
    "a chart": Shape(
        {f"charts/shop/{f}": t for f, t in CHART.items()}, {"prod": "default"},
        ("helm", "charts/shop", "helm rollback"), 3,
    ),
    "a chart beside manifests": Shape(
        {**{f"k8s/chart/{f}": t for f, t in CHART.items()}, "k8s/cart.yaml": app("cart"), "k8s/web.yaml": app("web")},
        {"prod": "default"}, ("k8s/chart", "helm history"),
    ),
    "docker compose": Shape(
        {"docker-compose.yml": "services: {web: {image: x}}\n"}, {"prod": "default"},
        ("compose", "docker-compose.yml", "not Kubernetes"), 3,
    ),
    "nothing": Shape({"README.md": "x"}, {"prod": "default"}, ("HEAD has no manifests there",), 3),
}  # fmt: skip


class Contact(NamedTuple):
    """What a newcomer sees: `init`, then `plan --offline` of each environment."""

    repository: RepositoryBuilder
    init: Ended
    settings: Settings
    plans: Mapping[str, Ended]

    def planned(self, environment: str) -> list[str]:
        """The workloads that a plan holds, as Kind/name."""
        ended = self.plans[environment]
        objects = [o for s in ended.json["plan"]["services"] for o in s["objects"]] if not ended.code else []
        return [f"{o['kind']}/{o['name']}" for o in objects if o["kind"] in KINDS]


def contact(folder: Path, files: Mapping[str, str | bytes]) -> Contact:
    made = RepositoryBuilder(folder / "shop")
    made.commit(files)
    made.tag("v1.0.0")
    init = command(made.folder, made.environment, ["init"])
    assert init.code == 0, init
    settings = model.load((made.folder / "rollback.yaml").read_bytes())
    ask = ["plan", "--offline", "--to", "v1.0.0", "--output", "json", "-e"]
    plans = {name: command(made.folder, made.environment, [*ask, name]) for name in settings.environments}
    return Contact(made, init, settings, plans)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def workloads(files: Mapping[str, str | bytes]) -> Iterator[str]:
    """Every workload of a repository, told without the product: what reads as one and runs something."""
    for path, text in files.items():
        if not path.endswith((".yaml", ".yml", ".json")):
            continue
        try:
            documents: list[Any] = list(yaml.safe_load_all(text))
        except (yaml.YAMLError, ValueError):
            continue
        for document in documents:
            listed = isinstance(document, dict) and document.get("kind") == "List"
            for o in (document.get("items") or []) if listed else [document]:
                if isinstance(o, dict) and o.get("kind") in KINDS and '"containers"' in json.dumps(o, default=str):
                    yield f"{o['kind']}/{o['metadata']['name']}"


def nothing_is_left_out_unsaid(seen: Contact, files: Mapping[str, str | bytes]) -> None:
    """Workloads of the repository = planned in one of its environments + named, by `init` and by each plan."""
    missing = set(workloads(files)) - {w for name in seen.plans for w in seen.planned(name)}
    for workload in missing:
        for said in (seen.init.out, *(ended.out + ended.err for ended in seen.plans.values())):
            assert workload in squeezed(said), (workload, said)


@pytest.mark.parametrize("name", SHAPES)
def test_what_init_and_plan_leave_out_of_a_layout_is_named(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]
    seen = contact(tmp_path, shape.files)
    assert {n: e.namespace for n, e in seen.settings.environments.items()} == dict(shape.spaces), seen.init
    for words in shape.said:
        assert words in squeezed(seen.init.out) or words in (seen.repository.folder / "rollback.yaml").read_text()
    nothing_is_left_out_unsaid(seen, shape.files)
    assert {e.code for e in seen.plans.values()} == {shape.code}, seen.plans
    for environment, ended in seen.plans.items():
        assert bool(seen.planned(environment)) == (not shape.code)
        if is_prod(environment) and not ended.code:
            held = {o["file"] for s in ended.json["plan"]["services"] for o in s["objects"]}
            assert not [f for f in held if re.search(r"(^|[/-])(dev|stage|canary|pre-prod)[/.-]", f)]


def test_a_workload_beyond_the_paths_is_named(tmp_path: Path) -> None:
    seen = contact(tmp_path, SHAPES["examples and tests beside the shop"].files)
    assert "Deployment/sample (examples/d.yaml)" in seen.plans["prod"].json["plan"]["warnings"][0]


def test_each_environment_plans_its_own_files(tmp_path: Path) -> None:
    seen = contact(tmp_path, SHAPES["a folder an environment"].files)
    for name, plan in seen.plans.items():
        assert plan.code == 0, plan
        held = {o["file"] for s in plan.json["plan"]["services"] for o in s["objects"]}
        assert held == {f"k8s/{name}/d.yaml", f"k8s/{name}/s.yaml"}


@pytest.mark.parametrize(
    ("name", "prod"),
    [
        ("prod", True), ("production", True), ("PRD", True), ("shop-prod", True), ("prod-eu", True), ("live", True),
        ("prod2", True), ("pre-prod", False), ("preprod", False), ("nonprod", False), ("non_production", False),
        ("staging", False), ("dev", False), ("canary", False), ("product-service", False), ("reproduction", False),
        ("delivery", False), ("shop", False), ("qa", False), ("devprod-x", False),
    ],
)  # fmt: skip
def test_what_stands_for_production_and_what_does_not(name: str, prod: bool) -> None:
    assert is_prod(name) == prod


@pytest.mark.parametrize(
    ("path", "workload", "word"),
    [
        ("k8s/prod/d.yaml", "a", "prod"), ("k8s-dev/d.yaml", "a", "dev"), ("k8s/a-stage.yaml", "a", "stage"),
        ("k8s/dev.yaml", "a", "dev"), ("deploy/Production/d.yaml", "a", "Production"), ("uat/a/d.yaml", "a", "uat"),
        ("k8s/live-chat/d.yaml", "live-chat", ""), ("k8s/test-runner/d.yaml", "runner", ""),
        ("k8s/dev-portal/d.yaml", "dev-portal", ""), ("k8s/dev-portal.yaml", "dev-portal", ""),
        ("k8s/products/d.yaml", "products", ""), ("k8s/cart/d.yaml", "cart", ""), ("stages/d.yaml", "a", ""),
        ("k8s/pre-prod/d.yaml", "a", "pre-prod"), ("k8s/web/device.yaml", "a", ""),
    ],
)  # fmt: skip
def test_which_environment_a_path_speaks_of(path: str, workload: str, word: str) -> None:
    found = environments.of_path(path, [workload])
    assert (found.word if found else "") == word


def test_what_is_left_out_of_a_layout_is_named_by_doctor_too(tmp_path: Path) -> None:
    files = SHAPES["examples and tests beside the shop"].files
    seen = contact(tmp_path, {**files, **{f"chart/{f}": t for f, t in CHART.items()}})
    said = squeezed(command(seen.repository.folder, seen.repository.environment, ["doctor"]).out)
    for words in (
        "Deployment/sample (examples/d.yaml)",
        "Deployment/load (tests/d.yaml)",
        "chart. Charts are not read",
    ):
        assert words in said


@pytest.mark.parametrize("ignore", ['["examples/**", "tests/**"]', '["{environment}/**", "examples/*", "tests/*"]'])
def test_what_a_person_leaves_out_is_not_named_again(tmp_path: Path, ignore: str) -> None:
    seen = contact(tmp_path, SHAPES["examples and tests beside the shop"].files)
    file = seen.repository.folder / "rollback.yaml"
    file.write_text(file.read_text().replace("  path: k8s", f"  path: k8s\n  ignore: {ignore}"))
    again = command(seen.repository.folder, seen.repository.environment, ["plan", "--offline", "--to", "v1.0.0"])
    assert again.code == 0
    assert "Left out" not in again.out


def test_a_rollback_of_one_service_does_not_name_what_else_there_is(tmp_path: Path) -> None:
    seen = contact(tmp_path, SHAPES["examples and tests beside the shop"].files)
    ask = ["plan", "--offline", "--to", "v1.0.0", "--service", "cart"]
    assert "Left out" not in command(seen.repository.folder, seen.repository.environment, ask).out


def test_a_base_that_an_overlay_changes_is_said_not_to_be_what_runs(tmp_path: Path) -> None:
    seen = contact(tmp_path, SHAPES["kustomize overlays"].files)
    (seen.repository.folder / "rollback.yaml").write_text(
        "application: a\nmanifests: {path: k8s/base/cart.yaml}\nenvironments: {prod: {namespace: n}}\n"
    )
    again = command(seen.repository.folder, seen.repository.environment, ["plan", "--offline", "--to", "v1.0.0"])
    said = squeezed(again.out)
    assert "k8s/overlays/prod (kustomize) builds on k8s/base/cart.yaml and changes namespace" in said
    assert "kubectl kustomize k8s/overlays/prod" in said


def test_without_a_tag_init_says_what_to_do_today(tmp_path: Path) -> None:
    made = RepositoryBuilder(tmp_path / "shop")
    made.commit(SHAPES["a folder a service"].files)
    said = squeezed(command(made.folder, made.environment, ["init"]).out)
    for words in ("nothing to go back to yet", "git tag v1.0.0", "rollback record-release --release v1.0.0"):
        assert words in said


def test_paths_that_name_services_and_one_that_does_not_keep_a_service_together(tmp_path: Path) -> None:
    files = {"k8s/cart/d.yaml": app("cart-app"), "k8s/web/d.yaml": app("web"), "k8s/s.yaml": service("cart-app"),
             "k8s/web.yaml": service("web"), "k8s/db.yaml": app("db")}  # fmt: skip
    made = RepositoryBuilder(tmp_path / "shop")
    made.commit(files)
    made.tag("v1.0.0")
    (made.folder / "rollback.yaml").write_text(
        'application: a\nmanifests: {path: ["k8s/{service}", k8s]}\nenvironments: {prod: {namespace: n}}\n'
    )

    def holds(*more: str) -> dict[str, set[str]]:
        ask = ["plan", "--offline", "--to", "v1.0.0", "--output", "json", *more]
        found = command(made.folder, made.environment, ask).json["plan"]["services"]
        return {s["name"]: {f"{o['kind']}/{o['name']}" for o in s["objects"]} for s in found}

    every = holds()
    assert every["cart"] == {"Deployment/cart-app", "Service/cart-app"}
    assert every["web"] == {"Deployment/web", "Service/web"}
    assert every["db"] == {"Deployment/db"}
    assert holds("--service", "cart") == {"cart": every["cart"]}
    unknown = command(made.folder, made.environment, ["plan", "--offline", "--to", "v1.0.0", "--service", "carts"])
    assert "there are cart, db, web" in unknown.err


def test_a_plan_without_a_cluster_shows_images_and_what_differs_between_the_files_of_two_releases(
    tmp_path: Path,
) -> None:
    made = RepositoryBuilder(tmp_path / "shop")
    old = {"k8s/cart/d.yaml": app("cart", image="team/cart:1.0"), "k8s/web/d.yaml": app("web")}
    made.commit(old)
    made.tag("v1.0.0")
    made.commit({"k8s/cart/d.yaml": app("cart", image="team/cart:1.1").replace("spec:\n", "spec:\n  replicas: 3\n", 1)})
    made.tag("v1.1.0")
    assert command(made.folder, made.environment, ["init"]).code == 0
    said = command(made.folder, made.environment, ["plan", "--offline", "--to", "v1.0.0"]).out
    cart, web = said.partition("\ncart\n")[2].split("\nweb\n")
    assert "cart: team/cart:1.0 (not asked)" in cart
    assert "team/cart:1.1 → team/cart:1.0" in cart
    assert "replicas" in cart
    assert "Deployment/web: update (its file is the same)" in web
    assert "web: team/web:1.0 (not asked)" in web
    assert "to the files of v1.1.0, the newest release" in squeezed(said)
    newest = command(made.folder, made.environment, ["plan", "--offline", "--to", "v1.1.0"]).out
    assert "cart: team/cart:1.1 (not asked)" in newest
    assert "the newest release" not in newest


def trees() -> list[str]:
    """The newest tree of each real repository."""
    homes = [p for p in CORPUS.glob("*") if p.is_dir() and p.name != "shapes"] + list(CORPUS.glob("shapes/*"))
    return sorted(max(t for t in home.iterdir() if t.is_dir()).relative_to(CORPUS).as_posix() for home in homes)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real repositories is not here")
@pytest.mark.parametrize("tree", trees() if CORPUS.is_dir() else [])
def test_what_init_and_plan_leave_out_of_a_real_repository_is_named(tree: str, tmp_path: Path) -> None:
    root = CORPUS / tree
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
    seen = contact(tmp_path, files)
    if not any(ended.code for ended in seen.plans.values()):
        nothing_is_left_out_unsaid(seen, files)
    else:  # a plan that is refused holds nothing: what its paths would hold is what it is refused for
        held = [services.owner(seen.settings.of(name).manifests.paths) for name in seen.plans]
        beyond = {path: text for path, text in files.items() if all(owner(path) is None for owner in held)}
        within = set(workloads({path: text for path, text in files.items() if path not in beyond}))
        for workload in set(workloads(beyond)) - within:
            assert workload in squeezed(seen.init.out), (workload, seen.init.out)
    for name in seen.plans:
        assert not (
            is_prod(name)
            and {"dev", "stage", "canary"} & set(re.split(r"[/.-]", seen.settings.of(name).manifests.where))
        )
