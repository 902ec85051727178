"""`rollback init` proposes settings that load, with a reason for every guess."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.readouts import guesses, init
from rollback_lib.core.settings import model
from rollback_lib.core.settings.model import Settings

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real repositories is not here")

JENKINSFILE = """\
pipeline {
  environment { K8S_NAMESPACE = 'ecommerce'; PROFILE = "prod" }
  stages {
    /* stage('old') { sh 'kubectl apply -f k8s -n elsewhere' } */
    stage('Deploy') { steps {
      // sh 'kubectl set env deployment/x OLD=1'
      bat "kubectl apply -f k8s\\\\%s -n %K8S_NAMESPACE%"
      bat "kubectl set env deployment/user-service SPRING_PROFILES_ACTIVE=prod -n ${K8S_NAMESPACE}"
      sh "kubectl set env deployment/order-service LEVEL=${PROFILE} BUILD=${env.BUILD_TAG}"
    } }
  }
}
"""


WHOLE = """\
# Proposed by `rollback init` from what the repository shows. Read it once: every guess says why.
application: shop
# The shape that most git tags have.
# Left out, since they are no versions: v-x.
releases:
  tag: "v[0-9]*"
# Fits 2 services: a, b.
manifests:
  path: "k8s/{service}.yaml"
  # ConfigMaps beside the services; applied before them.
  shared: [k8s/config.yaml]
# What must be up before the others, wave by wave; what is not named comes last, together.
services:
  # order: [[service-discovery], [cloud-config]]
  # No services, though the path fits them.
  ignore: [kustomization]
images:
  # Images in the manifests that are named like their service.
  repository: "team/{service}"
  # The manifests use prod: each deploy overwrites that, so it proves no release.
  mutable_tags: [prod, latest, dev, stage]
environments:
  prod:
    # As the manifests name it.
    namespace: shop-ns
    # The kubeconfig context; without it the kubeconfig must leave no choice.
    # context: my-cluster
    # The Jenkinsfile sets this after `kubectl apply`; the manifests do not have it.
    overlay:
      env:
        MODE: "on"
    # TO DO: the Jenkinsfile sets BUILD with `kubectl set env`, to a value not seen here.
    # Without it a rollback restores what the manifests say. Write it so: overlay: {env: {NAME: value}}
    approval: required   # auto lets Jenkins roll back without asking a person
verify:
  rollout_timeout: 5m   # the least that a workload is given; slow probes extend it by themselves
  # smoke: [{service: api-gateway, path: /actuator/health, json: {status: UP}}]
"""


def deployment(name: str, image: str, namespace: str = "") -> str:
    where = f", namespace: {namespace}" if namespace else ""
    return (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}{where}}}\n"
        f"spec: {{template: {{spec: {{containers: [{{name: c, image: '{image}'}}]}}}}}}\n"
    )


def propose(files: Sequence[str], read: Callable[[str], bytes], tags: Sequence[str], name: str) -> tuple[Settings, str]:
    """What is guessed, and the file that is written of it: the file says what was guessed, and nothing else."""
    guess = guesses.guess(files, read, tags, name)
    text = init.text(guess)
    assert model.load(text) == guess.settings
    return guess.settings, text


def proposed(files: Mapping[str, str], tags: Sequence[str] = (), name: str = "shop") -> tuple[Settings, str]:
    return propose(list(files), lambda f: files[f].encode(), tags, name)


def of_corpus(folder: str, jenkinsfile: str = "") -> tuple[Settings, str]:
    root = CORPUS / folder
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
    if jenkinsfile:
        files["Jenkinsfile"] = jenkinsfile.encode()
    rows = (root.parent / "tags.tsv").read_text(encoding="utf-8").splitlines()[1:]
    tags = [row.split("\t")[0] for row in rows if not row.startswith("HEAD")]
    return propose(list(files), files.__getitem__, tags, root.parent.name)


@needs_corpus
def test_the_plans_own_application_is_recognised() -> None:
    got, text = of_corpus("ecommerce/v1.1.0", JENKINSFILE)
    assert got.application == "ecommerce"
    assert got.manifests.path == "k8s/{service}"
    assert got.manifests.shared == ("k8s/common-config.yaml",)
    assert got.images.repository == "sanjodb/{service}"
    assert "prod" in got.images.mutable_tags
    assert got.environments["prod"].namespace == "ecommerce"
    assert got.environments["prod"].overlay.env["SPRING_PROFILES_ACTIVE"] == "prod"
    assert got.releases.matches("v1.5.3")
    assert not got.releases.matches("v-0.1.0")
    assert "proves no release" in text


@needs_corpus
def test_a_file_a_service_is_recognised() -> None:
    got, text = of_corpus("online-boutique/v0.10.6")
    assert got.manifests.path == "kubernetes-manifests/{service}.yaml"
    assert got.images.repository == "us-central1-docker.pkg.dev/online-boutique-ci/microservices-demo/{service}"
    assert got.services.ignore == ("kustomization",)
    assert got.releases.matches("v0.10.6")
    assert not any(got.releases.matches(t) for t in ("v0", "steps", "a", "sic-jss", "v3-demo-concise", "Phase-1"))
    assert "release/kubernetes-manifests.yaml" in text


@needs_corpus
@pytest.mark.parametrize("shape", sorted(p.name for p in (CORPUS / "shapes").glob("*")) if CORPUS.is_dir() else [])
def test_every_real_repository_gets_settings_that_load(shape: str) -> None:
    for root in (p for p in (CORPUS / "shapes" / shape).iterdir() if p.is_dir()):
        files = {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}
        propose(list(files), lambda f, files=files: files[f].read_bytes(), (), shape)  # type: ignore[misc]


def test_an_empty_repository_gets_a_form_to_fill_in() -> None:
    got, text = proposed({}, name="Mi Tienda (año)")
    assert got.application == "mi-tienda-a-o"
    assert "write here where they are" in text


def test_a_folder_of_workloads_without_a_pattern_is_the_path() -> None:
    got, _ = proposed(
        {"k8s/a-deployment.yaml": deployment("a", "t/a:1"), "k8s/b-deployment.yaml": deployment("b", "t/b:1")}
    )
    assert got.manifests.path == "k8s"
    assert got.images.repository == "t/{service}"


def test_manifests_inside_each_services_own_folder_are_found() -> None:
    files = {f"services/{s}/deploy/app.yaml": deployment(s, f"reg.example:5000/t/{s}:dev-x") for s in ("a", "b")}
    got, _ = proposed(files)
    assert (
        got.manifests.path == "services/{service}/deploy/app.yaml" or got.manifests.path == "services/{service}/deploy"
    )
    assert got.images.repository == "reg.example:5000/t/{service}"


@pytest.mark.parametrize("image", ["team/{}-shop-boot", "team/shop-{}", "team/shop.{}_v2", "team/{}"])
def test_a_service_s_name_is_found_in_its_image_s_with_words_around_it(image: str) -> None:
    files = {f"k8s/{s}/d.yaml": deployment(s, image.format(s) + ":prod") for s in ("cart", "user", "user-api")}
    got, _ = proposed(files)
    assert got.images.repository == image.format("{service}")


def test_a_service_s_name_inside_another_word_is_not_it() -> None:
    files = {f"k8s/{s}/d.yaml": deployment(s, f"team/{s}s:prod") for s in ("cart", "user")}
    got, _ = proposed(files)
    assert got.images.repository is None


def test_one_file_with_everything_is_the_path() -> None:
    got, _ = proposed(
        {"deploy/all.yaml": deployment("a", "a") + "---\n" + deployment("b", "b"), "deploy/x.yaml": "a: b"}
    )
    assert got.manifests.path in ("deploy", "deploy/all.yaml")


def test_an_image_that_is_not_the_teams_is_not_the_pattern() -> None:
    files = {
        f"k8s/{s}/d.yaml": deployment(s, i) for s, i in {"zipkin": "openzipkin/zipkin", "a": "x", "b": "y"}.items()
    }
    got, _ = proposed(files)
    assert got.images.repository is None


def test_templates_and_hidden_folders_are_not_manifests() -> None:
    asked: list[str] = []

    def read(path: str) -> bytes:
        asked.append(path)
        return b"x: {{ .Values.a }}"

    propose(
        ["chart/templates/d.yaml", ".github/w.yaml", "docker-compose.yml", "k8s/a.yaml", "src/Main.java"], read, (), "x"
    )
    assert asked == ["k8s/a.yaml"]


def test_the_jenkinsfile_names_namespace_and_overlay() -> None:
    got, text = proposed({"Jenkinsfile": JENKINSFILE})
    prod = got.environments["prod"]
    assert prod.namespace == "ecommerce"
    assert prod.overlay.env == {"SPRING_PROFILES_ACTIVE": "prod", "LEVEL": "prod"}
    assert "TO DO: the Jenkinsfile sets BUILD" in text
    assert "elsewhere" not in text


def test_a_variable_set_to_two_values_is_left_to_a_person() -> None:
    job = "sh 'kubectl set env deployment/a MODE=x'\nsh 'kubectl set env deployment/a MODE=y -n two'"
    got, text = proposed({"Jenkinsfile": job})
    assert got.environments["prod"].overlay.env == {}
    assert got.environments["prod"].namespace == "two"
    assert "TO DO: the Jenkinsfile sets MODE" in text


def test_the_manifests_name_the_namespace_where_no_job_does() -> None:
    got, _ = proposed({"k8s/a/d.yaml": deployment("a", "t/a", "shop-ns")})
    assert got.environments["prod"].namespace == "shop-ns"


@pytest.mark.parametrize(
    ("tags", "pattern"),
    [
        ((), "v*"),
        (("v1.0.0", "v1.1.0"), "v*"),
        (("v1.0.0", "v1.1.0", "vendor"), "v[0-9]*"),
        (("v1.0.0", "v1"), "v[0-9]*.[0-9]*"),
        (("1.0.0", "1.1.0", "steps"), "[0-9]*"),
        (("release-1.0", "release-1.1"), "release-*"),
        (("steps", "a"), "v*"),
    ],
)
def test_release_tags_are_recognised_by_shape(tags: Sequence[str], pattern: str) -> None:
    got, _ = proposed({}, tags)
    assert got.releases.tag == pattern


def test_the_whole_file() -> None:
    """Who has a file of before sees by a diff what is guessed otherwise, and nothing else."""
    files = {f"k8s/{s}.yaml": deployment(s, f"team/{s}:prod", "shop-ns") for s in ("a", "b")}
    files["k8s/kustomization.yaml"] = "apiVersion: kustomize.config.k8s.io/v1\nkind: Kustomization\n"
    files["k8s/config.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
    files["Jenkinsfile"] = "kubectl set env deployment/a MODE=on BUILD=${env.BUILD_TAG}"
    _, text = proposed(files, ["v1.0", "v1.1", "v-x"])
    assert text == WHOLE


def test_only_what_the_jenkinsfile_leaves_out_is_open() -> None:
    """And not what a tag is called."""
    guess = guesses.guess(["Jenkinsfile"], lambda f: JENKINSFILE.encode(), ["v1.0", "v1.1", "v# TO DO: me"], "shop")
    assert "# TO DO: me" in init.text(guess)
    assert guess.open == ("BUILD",)


def test_names_from_the_repository_cannot_end_a_comment() -> None:
    files = {f"k8s/a\nb: {i}/{s}.yaml": deployment(s, f"t/{s}") for i in (1, 2) for s in ("a", "b")}
    proposed(files, ["v1.0", "v1.1", "v1\nx: y"])


names = st.text(alphabet="ab-{}'\"\n:#é \\/._$%", max_size=8)


@given(st.dictionaries(names, st.tuples(names, names, names), max_size=4), st.lists(names, max_size=4), names)
def test_whatever_the_repository_holds_the_proposal_loads(
    parts: dict[str, tuple[str, str, str]], tags: list[str], name: str
) -> None:
    files = {}
    for folder, (service, image, namespace) in parts.items():
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": service, "namespace": namespace},
            "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        }
        files[f"{folder}/{service}.yaml"] = str(manifest)
    files["Jenkinsfile"] = f"NAMESPACE = '{name}'\nkubectl set env x A={name} {name}=b -n {name}"
    proposed(files, tags, name)
