"""`rollback init` as a newcomer meets it: a real repository, a file that loads, and nothing overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollback_lib.core.settings import model
from tests.command_line import rollback
from tests.git_repository import RepositoryBuilder

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: {name}, image: "team/{name}:prod"}}]}}
"""


@pytest.fixture
def repository(tmp_path: Path) -> RepositoryBuilder:
    made = RepositoryBuilder(tmp_path / "My Shop")
    made.commit({f"k8s/{name}/deployment.yaml": DEPLOYMENT.format(name=name) for name in ("cart", "users")})
    return made


def test_it_writes_the_file_and_says_what_it_guessed(repository: RepositoryBuilder) -> None:
    repository.tag("v1.0.0")
    done = rollback("init", folder=repository.folder)
    assert done.code == 0
    written = model.load((repository.folder / "rollback.yaml").read_bytes())
    assert (written.application, written.manifests.path) == ("my-shop", "k8s/{service}")
    assert "k8s/{service}: 2 services" in done.out
    assert "prod: namespace shop" in done.out
    assert "newest: v1.0.0" in done.out
    assert "rollback doctor" in done.out.splitlines()[-1]
    assert not (repository.folder / ".rollback").exists()


def test_in_a_folder_below_it_writes_at_the_root(repository: RepositoryBuilder) -> None:
    assert rollback("init", folder=repository.folder / "k8s" / "cart").code == 0
    assert (repository.folder / "rollback.yaml").is_file()


def test_a_file_that_is_there_is_never_overwritten(repository: RepositoryBuilder) -> None:
    (repository.folder / "rollback.yaml").write_text("application: mine\n")
    for folder in (repository.folder, repository.folder / "k8s"):
        done = rollback("init", folder=folder)
        assert done.code == 2
        assert "exists already and is never overwritten" in done.err
        assert "rollback init --print" in done.err
    assert (repository.folder / "rollback.yaml").read_text() == "application: mine\n"


def test_print_shows_the_file_and_writes_nothing(repository: RepositoryBuilder) -> None:
    done = rollback("init", "--print", folder=repository.folder)
    assert done.code == 0
    assert model.load(done.out).application == "my-shop"
    assert not (repository.folder / "rollback.yaml").exists()


def test_a_clone_without_tags_gets_a_file_and_the_advice(repository: RepositoryBuilder) -> None:
    done = rollback("init", folder=repository.folder)
    assert done.code == 0
    assert "git fetch origin --tags" in " ".join(done.out.split())


def test_a_repository_without_commits_gets_a_file_to_complete(tmp_path: Path) -> None:
    empty = RepositoryBuilder(tmp_path / "empty")
    done = rollback("init", folder=empty.folder)
    assert done.code == 0
    assert "HEAD has no manifests there" in " ".join(done.out.split())


def test_a_bare_repository_has_no_place_for_it(repository: RepositoryBuilder, tmp_path: Path) -> None:
    bare = repository.clone(tmp_path / "bare.git", "--bare")
    done = rollback("init", folder=bare.folder)
    assert done.code == 3
    assert "bare repository" in done.err
    assert rollback("init", "--print", folder=bare.folder).out.count("application: bare") == 1


def test_another_file_can_be_named(repository: RepositoryBuilder) -> None:
    done = rollback("init", "--config", "other.yaml", "--output", "json", folder=repository.folder)
    assert done.code == 0
    assert done.json["written"] is True
    assert (repository.folder / "other.yaml").read_text() == done.json["proposal"]["text"]
    assert rollback("init", "--config", "other.yaml", folder=repository.folder).code == 2
    lost = rollback("init", "--config", "nowhere/other.yaml", folder=repository.folder)
    assert lost.code == 2
    assert "cannot be written" in lost.err
