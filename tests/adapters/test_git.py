from __future__ import annotations

import os
import shutil
import socket
import time
import unicodedata
from pathlib import Path

import pytest

from rollback_lib.adapters import git, git_program
from rollback_lib.adapters.git import GitRepository
from rollback_lib.core.errors import BugError, InterruptedRunError, RefusedError
from rollback_lib.core.releases.tags import Tag, find, propose_previous
from tests.fake_registry import FakeRegistry
from tests.git_repository import DAY, RepositoryBuilder, isolate


@pytest.fixture(autouse=True)
def _no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.fixture
def shop(tmp_path: Path) -> RepositoryBuilder:
    """Two releases; the manifests differ between them."""
    made = RepositoryBuilder(tmp_path / "shop")
    made.commit({"k8s/user/deploy.yaml": "version: 1.0\n", "README.md": "shop\n"})
    made.tag("v1.0.0")
    made.commit({"k8s/user/deploy.yaml": "version: 1.1\n"})
    made.tag("v1.1.0", annotated=True, day=20)
    return made


def by_name(repository: GitRepository) -> dict[str, Tag]:
    return {tag.name: tag for tag in repository.tags()}


def objects(clone: RepositoryBuilder) -> str:
    return clone.git("count-objects", "--verbose")


def advice(error: pytest.ExceptionInfo[RefusedError]) -> str:
    return error.value.refusals[0].fix


class TestTags:
    def test_annotated_and_lightweight_are_peeled_and_dated_by_their_commit(self, shop: RepositoryBuilder) -> None:
        tags = by_name(GitRepository(shop.folder))
        assert tags["v1.0.0"] == Tag("v1.0.0", shop.git("rev-parse", "HEAD~1"), "commit", DAY.format(1), "", False)
        assert tags["v1.1.0"] == Tag(
            "v1.1.0",
            shop.git("rev-parse", "HEAD"),
            "commit",
            "2025-03-02T12:00:00+01:00",
            "2025-03-20T12:00:00+01:00",
            True,
        )

    def test_a_tag_of_a_tag_of_a_tag_is_peeled_to_its_commit(self, shop: RepositoryBuilder) -> None:
        shop.tag("inner", "v1.1.0", annotated=True)
        shop.tag("outer", "inner", annotated=True)
        assert by_name(GitRepository(shop.folder))["outer"] == Tag(
            "outer",
            shop.git("rev-parse", "HEAD"),
            "commit",
            "2025-03-02T12:00:00+01:00",
            "2025-03-02T12:00:00+01:00",
            True,
        )

    def test_the_tag_wins_over_a_branch_and_a_file_of_its_name(self, shop: RepositoryBuilder) -> None:
        released = shop.git("rev-parse", "HEAD")
        shop.branch("v1.1.0")
        shop.commit({"k8s/user/deploy.yaml": "version: branch\n", "v1.1.0": "a file\n"})
        repository = GitRepository(shop.folder)
        tag = find(repository.tags(), "v1.1.0")
        assert tag.commit == released
        assert repository.files(tag.commit, ["k8s"]) == {"k8s/user/deploy.yaml": b"version: 1.1\n"}

    def test_tags_called_head_or_tags_are_only_tags(self, shop: RepositoryBuilder) -> None:
        first, head = shop.git("rev-parse", "HEAD~1", "HEAD").split()
        shop.git("update-ref", "refs/tags/HEAD", first)
        shop.git("update-ref", "refs/tags/tags/v1.1.0", first)
        repository = GitRepository(shop.folder)
        tags = by_name(repository)
        assert (tags["HEAD"].commit, tags["tags/v1.1.0"].commit, tags["v1.1.0"].commit) == (first, first, head)
        assert repository.head_commit() == head

    def test_a_tag_on_a_blob_or_tree_is_refused_in_plain_words(self, shop: RepositoryBuilder) -> None:
        shop.tag("v-blob", "HEAD:README.md")
        shop.tag("v-tree", "HEAD^{tree}", annotated=True)
        shop.tag("v-deep", "v-tree", annotated=True)
        tags = GitRepository(shop.folder).tags()
        for name, kind in {"v-blob": "blob", "v-tree": "tree", "v-deep": "tree"}.items():
            with pytest.raises(RefusedError, match=f"{name} is on a {kind}, not on a commit"):
                find(tags, name)

    def test_names_with_accents_and_shell_signs_are_just_names(self, shop: RepositoryBuilder) -> None:
        names = ["v1.4.0-año", "v1;touch\u2028x", "v1.4.0+a3", "release/1.4.0"]
        for name in names:
            shop.tag(name)
        assert set(names) < set(by_name(GitRepository(shop.folder)))

    def test_a_replaced_commit_does_not_change_what_a_release_holds(self, shop: RepositoryBuilder) -> None:
        shop.git("replace", "HEAD", "HEAD~1")
        repository = GitRepository(shop.folder)
        tag = by_name(repository)["v1.1.0"]
        assert repository.files(tag.commit, ["k8s"]) == {"k8s/user/deploy.yaml": b"version: 1.1\n"}


def test_what_came_before_is_proposed_by_commit_date_with_its_tie(tmp_path: Path) -> None:
    made = RepositoryBuilder(tmp_path / "shop")
    made.commit()
    first = made.commit()
    made.tag("v0.9.0", "HEAD~1", annotated=True, day=28)  # made last, for the oldest commit
    made.tag("v1.0.0")
    current = made.commit()
    made.tag("v1.1.0-rc1")
    made.tag("v1.1.0", annotated=True)
    made.tag("v1.1.0-signed", "v1.1.0", annotated=True, day=29)
    tags = GitRepository(made.folder).tags()

    proposal = propose_previous(tags, "v*", current)
    assert (proposal.tag.name, proposal.tag.commit, proposal.by) == ("v1.0.0", first, "commit date")
    made.commit()
    made.tag("v1.2.0")
    proposal = propose_previous(GitRepository(made.folder).tags(), "v*", None)
    assert (proposal.tag.name, proposal.tie) == ("v1.1.0", ("v1.1.0-signed", "v1.1.0-rc1"))
    assert (proposal.after, proposal.assumed) == ("v1.2.0", True)


class TestOwner:
    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
    @pytest.mark.parametrize("home", ["here", "/nonexistent"])
    def test_someone_elses_repository_is_refused_with_the_line_that_trusts_it(
        self, shop: RepositoryBuilder, monkeypatch: pytest.MonkeyPatch, home: str
    ) -> None:
        for folder, _, names in os.walk(shop.folder):
            for path in (folder, *(os.path.join(folder, name) for name in names)):
                os.lchown(path, 12345, 12345)
        configuration = shop.folder.parent / ".gitconfig"
        monkeypatch.delenv("GIT_CONFIG_GLOBAL")
        if home != "here":
            monkeypatch.setenv("HOME", home)
        with pytest.raises(RefusedError, match="dubious ownership") as error:
            GitRepository(shop.folder)
        assert advice(error).endswith(f"git config --global --add safe.directory {shop.folder}")
        assert len(str(error.value).splitlines()) == 1
        assert not configuration.exists()


class TestWhose:
    """git's own variables lead it elsewhere; a hook's git sets them (gitpython-developers/GitPython#535)."""

    @pytest.fixture
    def other(self, tmp_path: Path) -> RepositoryBuilder:
        made = RepositoryBuilder(tmp_path / "other")
        made.commit({"k8s/user/deploy.yaml": "version: other\n"})
        made.tag("v1.1.0")
        return made

    @pytest.mark.parametrize("name", ["GIT_DIR", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"])
    def test_another_repository_than_the_folder_s_is_refused_and_both_are_named(
        self, shop: RepositoryBuilder, other: RepositoryBuilder, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        place = other.folder / ".git" / ("objects" if name == "GIT_OBJECT_DIRECTORY" else "")
        monkeypatch.setenv(name, str(place))
        with pytest.raises(RefusedError) as error:
            GitRepository(shop.folder)
        assert f"{shop.folder} lies in {shop.folder}/.git" in str(error.value)
        assert f"{name}={place}" in str(error.value)
        assert advice(error).startswith(f"Unset {name} ")

    def test_a_place_that_is_no_repository_is_refused_the_same_way(
        self, shop: RepositoryBuilder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_DIR", "/nowhere")
        with pytest.raises(RefusedError, match="git is led elsewhere by GIT_DIR=/nowhere"):
            GitRepository(shop.folder)

    @pytest.mark.parametrize("hook", ["post-commit", "post-checkout", "pre-push"])
    @pytest.mark.parametrize("place", ["root", "folder", "worktree"])
    def test_in_a_hook_of_its_own_repository_nothing_is_different(
        self, shop: RepositoryBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: str, place: str
    ) -> None:
        tree = tmp_path / "tree"
        shop.git("worktree", "add", "--quiet", "-b", "two", str(tree), "v1.0.0")
        shop.clone(tmp_path / "remote.git", "--bare")
        shop.git("remote", "add", "origin", str(tmp_path / "remote.git"))
        script = shop.folder / ".git/hooks" / hook
        script.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen; pwd > {tmp_path}/at\n")
        script.chmod(0o755)
        acting = RepositoryBuilder(tree if place == "worktree" else shop.folder, create=False)
        acting.git("commit", "--quiet", "--allow-empty", "--message=more")
        acting.git("checkout", "--quiet", "--detach")
        acting.git("push", "--quiet", "origin", "HEAD:refs/heads/more")
        for line in (tmp_path / "seen").read_text().splitlines():
            name, _, value = line.partition("=")
            if name.startswith("GIT_") and not name.startswith(("GIT_AUTHOR", "GIT_COMMITTER", "GIT_CONFIG")):
                monkeypatch.setenv(name, value)
        monkeypatch.chdir((tmp_path / "at").read_text().strip())
        repository = GitRepository(acting.folder / ("k8s/user" if place == "folder" else ""))
        assert repository.identity().root == str(acting.folder)
        assert repository.head_commit() == acting.git("rev-parse", "HEAD")
        assert repository.tracks(acting.folder / "k8s")

    def test_a_folder_that_lies_in_no_repository_is_read_as_the_variables_say(
        self, shop: RepositoryBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_DIR", str(shop.folder / ".git"))
        monkeypatch.setenv("GIT_WORK_TREE", str(shop.folder))
        assert "v1.1.0" in by_name(GitRepository(tmp_path))


class TestClones:
    def test_without_tags_says_how_to_fetch_them(self, shop: RepositoryBuilder, tmp_path: Path) -> None:
        clone = shop.clone(tmp_path / "ci", "--depth=1", "--no-tags", "--origin=up/stream")
        clone.git("checkout", "--quiet", "--detach")
        with pytest.raises(RefusedError, match="no tags") as error:
            GitRepository(clone.folder).tags()
        assert advice(error).startswith("Fetch them: `git fetch up/stream --tags`. If there are none there either, tag")
        clone.git("fetch", "up/stream", "--tags")
        repository = GitRepository(clone.folder)
        commit = by_name(repository)["v1.0.0"].commit
        assert repository.files(commit, ["k8s"]) == {"k8s/user/deploy.yaml": b"version: 1.0\n"}

    def test_without_tags_and_without_remote(self, tmp_path: Path) -> None:
        made = RepositoryBuilder(tmp_path / "shop")
        assert GitRepository(made.folder).head_commit() == ""
        made.commit()
        with pytest.raises(RefusedError, match="no tags") as error:
            GitRepository(made.folder).tags()
        assert "git remote add origin URL" in advice(error)

    @pytest.mark.parametrize("remote", ["there", "hanging"])
    def test_a_partial_clone_is_never_completed_by_us(
        self, shop: RepositoryBuilder, tmp_path: Path, remote: str
    ) -> None:
        clone = shop.clone(tmp_path / "ci", "--filter=blob:none")
        with socket.create_server(("127.0.0.1", 0)) as hangs:
            if remote == "hanging":
                clone.git("remote", "set-url", "origin", f"git://127.0.0.1:{hangs.getsockname()[1]}/shop.git")
            repository = GitRepository(clone.folder)
            commit = by_name(repository)["v1.0.0"].commit
            before = objects(clone)
            with pytest.raises(RefusedError, match=r"This clone is partial: it lacks objects of v1\.0\.0") as error:
                repository.files(commit, ["k8s"], release="v1.0.0")
            assert advice(error) == "Fetch them: `git fetch --refetch --no-filter origin --tags`."
            assert objects(clone) == before
            hangs.settimeout(0)
            with pytest.raises(BlockingIOError):
                hangs.accept()

    def test_git_that_does_not_end_is_ended(
        self, shop: RepositoryBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its disk may hang, or a filter; and somebody may want us to stop before its time is over."""
        fake = tmp_path / "git"
        fake.write_text("#!/bin/sh\nsleep 30 & wait\n")
        fake.chmod(0o755)
        repository = GitRepository(shop.folder)
        monkeypatch.setattr(type(repository._git._git), "GIT_PYTHON_GIT_EXECUTABLE", str(fake))
        monkeypatch.setattr(git_program, "LIMIT", 0.2)
        with pytest.raises(RefusedError, match="git rev-parse did not end within"):
            repository.head_commit()
        monkeypatch.setattr(git_program, "LIMIT", 30.0)
        began = time.monotonic()
        repository._git._stopped = lambda: "Interrupted." if time.monotonic() > began + 0.1 else ""
        with pytest.raises(InterruptedRunError):
            repository.head_commit()

    def test_offline_nothing_is_fetched_even_if_it_could_be(self, shop: RepositoryBuilder, tmp_path: Path) -> None:
        clone = shop.clone(tmp_path / "ci", "--filter=blob:none")
        clone.git("remote", "rename", "origin", "up/stream")
        repository = GitRepository(clone.folder, offline=True)
        commit = by_name(repository)["v1.0.0"].commit
        for _ in range(2):
            with pytest.raises(RefusedError, match=r"lacks objects of v1\.0\.0; offline") as error:
                repository.files(commit, ["k8s"], release="v1.0.0")
        assert advice(error) == "Fetch them: `git fetch --refetch --no-filter up/stream --tags`."
        clone.git("fetch", "--quiet", "--refetch", "--no-filter", "up/stream", "--tags")
        assert repository.files(commit, ["k8s"]) == {"k8s/user/deploy.yaml": b"version: 1.0\n"}

    @pytest.mark.parametrize("gone", ["folder", "remote"])
    def test_a_partial_clone_whose_remote_is_away(self, shop: RepositoryBuilder, tmp_path: Path, gone: str) -> None:
        clone = shop.clone(tmp_path / "ci", "--filter=blob:none", "--origin=up/stream")
        if gone == "remote":
            clone.git("remote", "remove", "up/stream")
        else:
            shutil.rmtree(shop.folder)
        repository = GitRepository(clone.folder)
        commit = by_name(repository)["v1.0.0"].commit
        with pytest.raises(RefusedError, match=r"lacks objects of v1\.0\.0") as error:
            repository.files(commit, ["k8s"], release="v1.0.0")
        assert ("up/stream" if gone == "folder" else "git fetch --refetch origin --tags") in advice(error)

    def test_a_commit_that_is_not_here(self, shop: RepositoryBuilder) -> None:
        with pytest.raises(RefusedError, match=r"lacks objects of v9"):
            GitRepository(shop.folder).files("ab" * 20, ["k8s"], release="v9")

    def test_bare_worktree_and_subfolder_are_found(self, shop: RepositoryBuilder, tmp_path: Path) -> None:
        bare = shop.clone(tmp_path / "bare.git", "--bare")
        shop.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"), "v1.0.0")
        expected = by_name(GitRepository(shop.folder))
        for folder in (bare.folder, tmp_path / "tree", shop.folder / "k8s" / "user", shop.folder / "README.md"):
            assert by_name(GitRepository(folder)) == expected
        assert GitRepository(bare.folder).identity().root == str(bare.folder)
        assert GitRepository(tmp_path / "tree").identity().root == str(tmp_path / "tree")
        assert GitRepository(tmp_path / "tree").head_commit() == expected["v1.0.0"].commit

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("https://ana:s3cret@git.example/shop.git", "https://git.example/shop.git"),
            ("https://oauth2:t@k@git.example/a@b?private_token=s3cret", "https://git.example/a@b"),
            ("git@git.example:team/shop.git", "git@git.example:team/shop.git"),
        ],
    )
    def test_identity_shows_no_credentials(self, shop: RepositoryBuilder, url: str, shown: str) -> None:
        shop.git("remote", "add", "up/stream", url)
        identity = GitRepository(shop.folder).identity()
        assert (identity.root, identity.remote, identity.url) == (str(shop.folder), "up/stream", shown)

    def test_not_a_repository(self, tmp_path: Path) -> None:
        for folder in (tmp_path, tmp_path / "missing" / "deep"):
            with pytest.raises(RefusedError, match="is not in a git repository"):
                GitRepository(folder)

    def test_git_is_not_installed(self, shop: RepositoryBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(shop.folder))
        with pytest.raises(RefusedError, match="git is not installed"):
            GitRepository(shop.folder)

    def test_a_remote_that_runs_a_command_is_not_run(self, shop: RepositoryBuilder, tmp_path: Path) -> None:
        clone = shop.clone(tmp_path / "ci", "--filter=blob:none")
        clone.git("config", "remote.origin.url", f"ext::touch {tmp_path}/ran")
        clone.git("config", "protocol.ext.allow", "always")
        repository = GitRepository(clone.folder)
        with pytest.raises(RefusedError, match="lacks objects"):
            repository.files(by_name(repository)["v1.0.0"].commit, ["k8s"])
        assert not (tmp_path / "ran").exists()


class TestRemote:
    """The remote is asked where its tags point: read-only, for a while, without a question to anybody."""

    def test_tags_that_moved_are_new_or_are_gone_there(self, shop: RepositoryBuilder, tmp_path: Path) -> None:
        clone = shop.clone(tmp_path / "ci")
        before = {name: tag.commit for name, tag in by_name(GitRepository(clone.folder)).items()}
        assert GitRepository(clone.folder).remote_tags(("v1.0.0", "v1.1.0")) == before
        moved = shop.commit()
        shop.git("tag", "--force", "--annotate", "--message=again", "v1.1.0")
        shop.git("tag", "--delete", "v1.0.0")
        shop.tag("x/refs/tags/v1.0.0")  # ls-remote compares the ends of names
        state = clone.git("for-each-ref"), objects(clone)
        assert GitRepository(clone.folder).remote_tags(("v1.0.0", "v1.1.0")) == {"v1.1.0": moved}
        assert (clone.git("for-each-ref"), objects(clone)) == state
        assert GitRepository(clone.folder, offline=True).remote_tags(("v1.1.0",)) is None

    @pytest.mark.parametrize("url", ["git://127.0.0.1:{port}/shop.git", "http://127.0.0.1:{port}/shop.git", "/nowhere"])
    def test_a_remote_that_does_not_answer_is_left_after_a_while(
        self, shop: RepositoryBuilder, monkeypatch: pytest.MonkeyPatch, url: str
    ) -> None:
        monkeypatch.setattr(git, "REMOTE_LIMIT", 0.3)
        with socket.create_server(("127.0.0.1", 0)) as hangs:
            shop.git("remote", "add", "origin", url.format(port=hangs.getsockname()[1]))
            began = time.monotonic()
            assert GitRepository(shop.folder).remote_tags(("v1.1.0",)) is None
            assert time.monotonic() - began < 5

    def test_no_password_is_asked_for(
        self, shop: RepositoryBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asks = tmp_path / "askpass"
        asks.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\n")
        asks.chmod(0o755)
        monkeypatch.setenv("SSH_ASKPASS", str(asks))
        shop.git("config", "core.askPass", str(asks))
        with FakeRegistry() as server:
            server.auth = "basic"
            shop.git("remote", "add", "origin", f"{server.url}/shop.git")
            assert GitRepository(shop.folder).remote_tags(("v1.1.0",)) is None
            assert server.asked
        assert not (tmp_path / "asked").exists()

    @pytest.mark.parametrize("way", ["url", "uploadpack"])
    def test_no_command_of_the_clone_is_run(self, shop: RepositoryBuilder, tmp_path: Path, way: str) -> None:
        clone = shop.clone(tmp_path / "ci")
        if way == "url":
            clone.git("config", "remote.origin.url", f"ext::touch {tmp_path}/ran")
            clone.git("config", "protocol.ext.allow", "always")
        else:
            clone.git("config", "remote.origin.uploadpack", f"touch {tmp_path}/ran; git-upload-pack")
        found = GitRepository(clone.folder).remote_tags(("v1.1.0",))
        assert (found is None) == (way == "url")
        assert not (tmp_path / "ran").exists()


class TestFiles:
    def test_files_are_read_under_their_real_names(self, shop: RepositoryBuilder) -> None:
        names = [
            unicodedata.normalize("NFC", "k8s/envío/despliegue año.yaml"),
            unicodedata.normalize("NFD", "k8s/envío/despliegue año.yaml"),
            "k8s/a\u2028b.yml",
            'k8s/"quoted"\t\n.json',
            "k8s/--upload-pack=touch x.yaml",
        ]
        commit = shop.commit({name: f"number: {n}\r\n" for n, name in enumerate(names)})
        repository = GitRepository(shop.folder)
        read = repository.files(commit, ["k8s"])
        assert {name: read[name] for name in names} == {n: f"number: {i}\r\n".encode() for i, n in enumerate(names)}
        for name in names:
            assert repository.files(commit, [name]) == {name: read[name]}
            assert repository.read(commit, name) == read[name]
        assert set(names) < set(repository.list_paths(commit))

    def test_texts_are_found_in_the_files_of_many_commits_at_once(
        self, shop: RepositoryBuilder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rollback_lib.adapters.git_grep._COMMITS", 2)
        first = shop.commit({"k8s/x.yaml": "image: team/x:1\nother: team/x:1", "else/x.yaml": "image: team/x:2"})
        second = shop.commit({"k8s/x.yaml": "image: 'team/x:20'", "k8s/a\nb.yaml": "image: team/y:7"})
        third = shop.commit({"k8s/x.yaml": "image: ${IMAGE} [1]", "k8s/a\nb.yaml": ""})
        for key, value in (("color.grep", "always"), ("grep.lineNumber", "true"), ("grep.patternType", "perl")):
            shop.git("config", key, value)
        found = GitRepository(shop.folder).naming
        texts = ["team/x:1", "team/x:2", "team/y:7", "[1]", ""]
        assert found(texts, [first, second, third], ["k8s"]) == {
            first: {"team/x:1"},
            second: {"team/x:2"},  # in a longer one
            third: {"[1]"},
        }
        assert found(texts, [first], ["k8s", "else"]) == {first: {"team/x:1", "team/x:2"}}
        assert found(["team/x:2"], [first], [""]) == {first: {"team/x:2"}}
        assert found(["never"], [first], ["k8s"]) == {}
        assert found([], [first], ["k8s"]) == {}
        assert found(texts, [], ["k8s"]) == {}

    def test_only_manifests_below_the_prefixes_and_nothing_twice(self, shop: RepositoryBuilder) -> None:
        commit = shop.commit({"k8s/x.txt": "x", "k8s2/x.yaml": "x", "shared.yaml": "", "k8s/empty.json": ""})
        repository = GitRepository(shop.folder)
        assert set(repository.files(commit, ["./k8s/", "k8s/user", "shared.yaml", "gone"])) == {
            "k8s/user/deploy.yaml",
            "k8s/empty.json",
            "shared.yaml",
        }
        assert set(repository.files(commit, [""])) >= {"k8s2/x.yaml", "shared.yaml"}
        assert repository.files(commit, ["gone", "k"]) == {}
        assert repository.files(commit, []) == {}
        assert repository.files(commit, [":(top)k8s", "k8s/*"]) == {}

    def test_the_working_tree_does_not_matter_and_is_left_alone(self, shop: RepositoryBuilder) -> None:
        shop.write({"k8s/user/deploy.yaml": "version: edited\n", "k8s/new.yaml": ""})
        before = shop.git("status", "--porcelain")
        repository = GitRepository(shop.folder)
        assert repository.files(repository.head_commit(), ["k8s"]) == {"k8s/user/deploy.yaml": b"version: 1.1\n"}
        assert shop.git("status", "--porcelain") == before

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
    def test_a_name_that_is_not_utf8_is_refused_by_name(self, shop: RepositoryBuilder) -> None:
        Path(os.fsdecode(os.fsencode(shop.folder) + b"/k8s/a\xf1o.yaml")).write_text("")
        commit = shop.commit()
        with pytest.raises(RefusedError, match=r"a\\xf1o\.yaml is not UTF-8"):
            GitRepository(shop.folder).files(commit, ["k8s"])

    def test_only_full_hashes_reach_git(self, shop: RepositoryBuilder, tmp_path: Path) -> None:
        for commit in ("v1.0.0", "HEAD", f"--output={tmp_path}/x", "", "ab" * 20 + "\n"):
            with pytest.raises(BugError):
                GitRepository(shop.folder).files(commit, ["k8s"])
        assert not (tmp_path / "x").exists()

    def test_a_file_that_is_not_there(self, shop: RepositoryBuilder) -> None:
        repository = GitRepository(shop.folder)
        for path in ("none.yaml", "k8s"):
            with pytest.raises(RefusedError, match=f"has no file {path}"):
                repository.read(repository.head_commit(), path)


def test_blobs_are_listed_with_their_contents_at_hand(tmp_path: Path) -> None:
    made = RepositoryBuilder(tmp_path / "r")
    made.write({"a b/ñ.sql": "1", "same.sql": "1", "crlf.sql": b"1\r\n"})
    (made.folder / "link.sql").symlink_to("same.sql")
    commit = made.commit()
    git = GitRepository(made.folder)
    blobs = git.blobs(commit)
    assert set(blobs) == {"a b/ñ.sql", "same.sql", "crlf.sql"}
    assert blobs["same.sql"] == blobs["a b/ñ.sql"] != blobs["crlf.sql"]
    assert git.contents([blobs["crlf.sql"], blobs["same.sql"]]) == {
        blobs["crlf.sql"]: b"1\r\n",
        blobs["same.sql"]: b"1",
    }
    assert git.contents([]) == {}


def test_what_is_no_object_is_never_asked_for(tmp_path: Path) -> None:
    made = RepositoryBuilder(tmp_path / "r")
    made.commit()
    with pytest.raises(BugError):
        GitRepository(made.folder).contents(["--batch"])
