"""A team's git repository, read and never written: tags, and the files that a commit has.

Nothing is checked out, fetched or configured; the remote is asked only where its tags point. Commands are argument
lists built here; what comes from outside is a full hash, a path or a ref behind ``--``, or not in the command at all.
Every answer about the repository is read with ``-z`` or NUL, as bytes.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast, get_args

from rollback_lib.adapters import git_grep
from rollback_lib.adapters.bounded import Stopped, never
from rollback_lib.adapters.git_program import GitProgram
from rollback_lib.adapters.git_words import first_line, no_tags, not_ours
from rollback_lib.core.errors import BugError, Refusal, RefusedError
from rollback_lib.core.manifests import tree as trees
from rollback_lib.core.manifests.services import is_manifest, tidy
from rollback_lib.core.releases.tags import ObjectType, RepositoryIdentity, Tag

_HASH: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MISSING: Final = re.compile(
    r"transport .{1,40} not allowed|"  # git may die of this before it says which object it wanted
    r"could not fetch|missing|bad object|not a tree object|not a valid object|unable to read|could not read",
    re.IGNORECASE,
)
_USERINFO: Final = re.compile(r"://[^/]*@")
_TAG_FIELDS: Final = (
    "refname",
    "objecttype",
    "objectname",
    "*objecttype",
    "*objectname",
    "committerdate:iso-strict",
    "*committerdate:iso-strict",
    "taggerdate:iso-strict",
)
_PROMISOR: Final = r"^(remote\..*\.promisor|extensions\.partialclone)$"
_TAGS: Final = "refs/tags/"
REMOTE_LIMIT: Final = 4.0  # seconds for the one question to the remote


class _Entry(NamedTuple):
    mode: str
    object: str
    path: bytes
    size: int = -1

    @property
    def name(self) -> str:
        return self.path.decode(errors="backslashreplace")


class GitRepository:
    """The repository that ``path`` (a folder, or a file in it) lies in; bare, shallow, partial, worktree: all will do.

    Nothing is fetched, not even objects that a partial clone left with its remote. ``offline``: no network at all.
    ``stopped`` ends what is being read (`adapters.bounded`).

    Raises RefusedError if git is not installed, if there is no repository, or if git does not trust its owner.
    git's own variables (``GIT_DIR``…) lead nowhere else: see `GitProgram`.
    """

    def __init__(self, path: Path, *, offline: bool = False, stopped: Stopped = never) -> None:
        self._git = GitProgram(path if path.is_dir() else path.parent, stopped)
        self._offline = offline
        facts = self._git.run("rev-parse", "--absolute-git-dir", "--is-bare-repository", "--is-shallow-repository")
        if facts.code:
            raise RefusedError(not_ours(path, facts.said))
        folder, bare, shallow = os.fsdecode(facts.out).rstrip("\n").rsplit("\n", 2)
        self._git_folder, self._bare, self._shallow = folder, bare == "true", shallow == "true"

    def close(self) -> None:
        """Nothing outlives a call: every process has ended when its answer is here. For symmetry with other ports."""

    def identity(self) -> RepositoryIdentity:
        """Root, and the remote with its URL cleaned of credentials."""
        root = self._git_folder
        if not self._bare:
            top = self._git.run("rev-parse", "--show-toplevel")  # fails inside a .git folder: then that is the root
            root = os.fsdecode(top.out).removesuffix("\n") or root
        remote, url = self._remote()
        return RepositoryIdentity(root, remote, _USERINFO.sub("://", url.split("?")[0].split("#")[0]), self._bare)

    def head_commit(self) -> str:
        """The commit that is checked out, full hash; "" in a repository without commits."""
        return self._git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}").out.decode().strip()

    def tracks(self, folder: Path) -> bool:
        """Whether files below this folder are in the index: they were committed, or are about to be."""
        found = self._git.run("ls-files", "-z", "--", str(folder.absolute()))
        return found.code == 0 and bool(found.out)

    def tags(self) -> tuple[Tag, ...]:
        """Every tag, peeled, by name. Branches are never looked at.

        Raises RefusedError, with the command that fetches them, if this clone has none.
        """
        listed = self._ask("its tags", "for-each-ref", f"--format={'%00'.join(f'%({f})' for f in _TAG_FIELDS)}", _TAGS)
        rows = [line.split(b"\0") for line in listed.split(b"\n") if line]
        if not rows:
            raise RefusedError(no_tags(self.fetch_advice()))
        nested = self._peel([row[0] for row in rows if row[3] == b"tag"])
        tags = []
        for name, *rest in rows:
            kind, commit, inner_kind, inner_commit, date, inner_date, tagged = (part.decode() for part in rest)
            annotated = kind == "tag"
            if annotated:
                kind, commit, date = nested.get(name) or (inner_kind, inner_commit, inner_date)
            shown = name.removeprefix(_TAGS.encode()).decode(errors="backslashreplace")
            tags.append(Tag(shown, commit, _object_type(kind), date, tagged, annotated))
        return tuple(tags)

    def remote_tags(self, names: Sequence[str]) -> Mapping[str, str] | None:
        """Which commit each of these tags is at the remote, where it is one there; None where that cannot be known.

        One question, for a few seconds. Nothing is fetched, and nobody is asked for a password.
        """
        remote, _ = self._remote()
        if not remote or self._offline:
            return None
        refs = [f"{_TAGS}{name}{peeled}" for name in names for peeled in ("", "^{}")]
        # which program answers is not the clone's to say: it would be run here
        words = ("ls-remote", "--upload-pack=git-upload-pack", "--", remote, *refs)
        try:
            answer = self._git.run(*words, remote=REMOTE_LIMIT)
        except RefusedError:
            return None
        if answer.code:
            return None
        lines = [line.split("\t", 1) for line in answer.out.decode(errors="backslashreplace").splitlines() if line]
        there = {ref: commit for commit, ref in lines}
        found = {name: there.get(f"{_TAGS}{name}^{{}}") or there.get(f"{_TAGS}{name}", "") for name in names}
        return {name: commit for name, commit in found.items() if commit}

    def files(self, commit: str, prefixes: Sequence[str], *, release: str = "") -> dict[str, bytes]:
        """`tree` where all of it must be readable: raises RefusedError for what is not, with what to do."""
        found = self.tree(commit, prefixes, release=release)
        if found.unread:
            said = release or commit[:12]
            raise RefusedError(*(Refusal(f"{u.path} at {said} {u.why}.", fix=u.fix) for u in found.unread))
        return dict(found.texts)

    def tree(self, commit: str, prefixes: Sequence[str], *, release: str = "") -> trees.Files:
        """The manifests (.yaml, .yml, .json) of ``commit`` below these folders, or these very files.

        Names are those of a checkout, byte for byte: links inside the tree are followed. ``release`` is only for
        messages. Raises RefusedError where this clone lacks an object.
        """
        wanted, said = [tidy(prefix) for prefix in prefixes], release or commit[:12]
        listed = list(self._entries(commit, wanted, said))
        names = [entry.name for entry in listed]
        if lacking := [w for w in wanted if w and not any(n == w or n.startswith(f"{w}/") for n in names)]:
            above = {path.rsplit("/", n)[0] for path in lacking for n in range(1, path.count("/") + 1)}
            listed += [e for e in self._entries(commit, sorted(above), said, deep=False) if not _is_file(e)]
        if any(entry.mode == trees.LINK for entry in listed):
            listed = list(self._entries(commit, [""], said))
        found = trees.below(map(_shown, listed), self._targets(listed, said), wanted)
        chosen = {_utf8(name): entry for name, entry in found.files.items() if is_manifest(name)}
        texts = dict(zip(chosen, self._contents([e.object for e in chosen.values()], said), strict=True))
        pointers = tuple(trees.pointer(name) for name, data in texts.items() if trees.is_pointer(data))
        return trees.Files(texts, {n: real for n, real in found.links.items() if n in texts}, found.unread + pointers)

    def whole(self, commit: str, *, release: str = "") -> trees.Files:
        """Every file of ``commit`` that may be text, for looking for a name: by two processes, and at most
        `core.manifests.tree.MOST_BYTES`. Nothing is fetched for it.

        Raises RefusedError where there is more, or where this clone lacks an object.
        """
        said = release or commit[:12]
        listed = list(self._entries(commit, [""], said, sizes=True))
        texts = [e for e in listed if _is_file(e) and trees.may_be_text(e.name)]
        if (size := sum(e.size for e in texts)) > trees.MOST_BYTES:
            raise RefusedError(f"{said} has {size >> 20} MiB of text, and {trees.MOST_BYTES >> 20} are read.")
        unread = trees.below(map(_shown, listed), self._targets(listed, said), [""]).unread
        contents = self._contents([e.object for e in texts], said)
        found = {e.name: data for e, data in zip(texts, contents, strict=True)}
        return trees.Files(
            found, {}, unread + tuple(trees.pointer(n) for n, data in found.items() if trees.is_pointer(data))
        )

    def naming(self, texts: Sequence[str], commits: Sequence[str], prefixes: Sequence[str]) -> dict[str, set[str]]:
        """Which of the texts stand anywhere in these files of each commit; a commit that has none is left out.

        A text is also found inside a longer one. Raises RefusedError where this clone lacks an object.
        """
        if wrong := [c for c in commits if not _HASH.fullmatch(c)]:
            raise BugError(f"not a commit: {wrong[0]!r}")
        found, failed = git_grep.naming(self._git, texts, commits, [tidy(prefix) for prefix in prefixes])
        if failed is not None:
            raise self._refused("the releases' manifests", failed.said)
        return found

    def _targets(self, entries: Sequence[_Entry], said: str) -> dict[str, str]:
        """What each of the links says, by its object."""
        links = list(dict.fromkeys(e.object for e in entries if e.mode == trees.LINK))
        said_by = self._contents(links, said)
        return {name: text.decode(errors="surrogateescape") for name, text in zip(links, said_by, strict=True)}

    def list_paths(self, commit: str) -> tuple[str, ...]:
        """The names of all files of ``commit``, sorted as git does; without links and submodules.

        A name that is not UTF-8 is shown with backslashes, and cannot be read.
        """
        return tuple(entry.name for entry in self._entries(commit, [""], commit[:12]) if _is_file(entry))

    def blobs(self, commit: str) -> dict[str, str]:
        """All files of ``commit`` with their objects' names; as `list_paths`, without links and submodules."""
        return {entry.name: entry.object for entry in self._entries(commit, [""], commit[:12]) if _is_file(entry)}

    def contents(self, blobs: Sequence[str]) -> dict[str, bytes]:
        """What these objects hold. Raises RefusedError where this clone lacks one."""
        if wrong := [b for b in blobs if not _HASH.fullmatch(b)]:
            raise BugError(f"not an object: {wrong[0]!r}")
        return dict(zip(blobs, self._contents(blobs, "the migrations"), strict=True))

    def read(self, commit: str, path: str) -> bytes:
        """One file of ``commit``. Raises RefusedError if there is no such file, or this clone lacks it."""
        found = [e for e in self._entries(commit, [tidy(path)], commit[:12]) if _is_file(e) and e.name == tidy(path)]
        if not found:
            raise RefusedError(f"Commit {commit[:12]} has no file {path}.")
        return self._contents([found[0].object], commit[:12])[0]

    def fetch_advice(self, *, objects: bool = False) -> str:
        """The command that brings the tags (or with ``objects`` also what is missing) from the remote there is."""
        remote, _ = self._remote()
        if not remote:
            again = "--refetch " if objects else ""  # a plain fetch leaves out what this clone seems to have
            return f"It has no remote: `git remote add origin URL`, then `git fetch {again}origin --tags`."
        options = ""
        if objects and self._config(r"^remote\..*\.promisor$"):
            options = " --refetch --no-filter"
        elif objects and self._shallow:
            options = " --unshallow"
        return f"Fetch them: `git fetch{options} {shlex.quote(remote)} --tags`."

    def _peel(self, refs: Sequence[bytes]) -> dict[bytes, tuple[str, str, str]]:
        """Type, hash and commit date of what tags of tags stand for; git before 2.45 peels only one of them."""
        if not refs:
            return {}
        asked = b"".join(ref + b"^{}\n" for ref in refs)
        lines = self._ask("its tags", "cat-file", "--batch-check=%(objecttype) %(objectname)", stdin=asked).split(b"\n")
        found = {ref: line.decode().split(" ", 1) for ref, line in zip(refs, lines, strict=False)}
        commits = sorted({name for kind, name in found.values() if kind == "commit"})
        dates: dict[str, str] = {}
        if commits:
            shown = self._ask("its tags", "rev-list", "--no-walk=unsorted", "--format=%H %cI", *commits).decode()
            rows = [line.split(" ") for line in shown.splitlines() if not line.startswith("commit ")]
            dates = dict(rows)
        return {ref: (kind, name, dates.get(name, "")) for ref, (kind, name) in found.items()}

    def _entries(
        self, commit: str, prefixes: Sequence[str], said: str, *, deep: bool = True, sizes: bool = False
    ) -> Iterator[_Entry]:
        if not _HASH.fullmatch(commit):
            raise BugError(f"not a commit: {commit!r}")
        paths = () if "" in prefixes else tuple(prefixes)
        if not paths and "" not in prefixes:
            return
        # the sizes of what a partial clone left with its remote would be asked for one by one
        options = (*(("-r",) if deep else ()), *(("-l",) if sizes else ()), "-z", "--full-tree")
        listed = self._ask(said, "ls-tree", *options, commit, "--", *paths)
        for record in listed.split(b"\0"):
            if record:
                facts, path = record.split(b"\t", 1)
                mode, kind, found, *size = facts.decode().split()
                if kind != "tree":
                    yield _Entry(mode, found, path, int(size[0]) if size and size[0].isdigit() else -1)

    def _contents(self, objects: Sequence[str], said: str) -> list[bytes]:
        if not objects:
            return []
        asked = "".join(f"{name}\n" for name in objects).encode()
        answer = self._ask(said, "cat-file", "--batch", stdin=asked)
        contents, place = [], 0
        for _ in objects:
            end = answer.index(b"\n", place)
            head = answer[place:end].split(b" ")
            if len(head) != 3:  # "<hash> missing"
                raise self._lacking(said)
            size = int(head[2])
            contents.append(answer[end + 1 : end + 1 + size])
            place = end + size + 2
        return contents

    def _lacking(self, said: str, why: str = "") -> RefusedError:
        partial = bool(self._config(_PROMISOR))
        what = "This clone is partial: it" if partial else "This clone"
        reason = "" if partial or not why else f" (git: {why})"
        offline = "; offline, so they were not fetched" if self._offline else ""
        return RefusedError(
            Refusal(f"{what} lacks objects of {said}{offline or reason}.", fix=self.fetch_advice(objects=True))
        )

    def _remote(self) -> tuple[str, str]:
        """Name and URL: the remote that lent objects, that of the branch, origin, or the first there is."""
        urls = {key[7:-4]: value for key, value in reversed(self._config(r"^remote\..*\.url$"))}
        lent = [key[7:-9] for key, value in self._config(r"^remote\..*\.promisor$") if value == "true"]
        here = self._git.run("symbolic-ref", "--quiet", "--short", "HEAD").out.decode(errors="surrogateescape").strip()
        of_branch = [value for key, value in self._config(r"^branch\..*\.remote$") if key == f"branch.{here}.remote"]
        for name in (*lent, *of_branch, "origin", *reversed(urls)):
            if name in urls:
                return name, urls[name]
        return "", ""

    def _config(self, names: str) -> list[tuple[str, str]]:
        found = self._git.run("config", "--null", "--get-regexp", names).out.decode(errors="backslashreplace")
        return [(key, value) for key, _, value in (one.partition("\n") for one in found.split("\0") if one)]

    def _ask(self, said: str, *arguments: str, stdin: bytes = b"") -> bytes:
        answer = self._git.run(*arguments, stdin=stdin)
        if answer.code:
            raise self._refused(said, answer.said)
        return answer.out

    def _refused(self, said: str, why: str) -> RefusedError:
        if _MISSING.search(why):
            return self._lacking(said, first_line(why))
        return RefusedError(f"git cannot read {said}: {first_line(why)}.")


def _object_type(kind: str) -> ObjectType:
    if kind not in get_args(ObjectType):
        raise RefusedError("This clone is damaged: what a tag stands for is missing. Ask `git fsck`, or clone again.")
    return cast("ObjectType", kind)


def _is_file(entry: _Entry) -> bool:
    return entry.mode not in (trees.LINK, trees.SUBMODULE)


def _shown(entry: _Entry) -> trees.Entry:
    return trees.Entry(entry.path.decode(errors="surrogateescape"), entry.mode, entry.object)


def _utf8(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise RefusedError(Refusal(f"The name of {shown} is not UTF-8.", fix="Rename the file.")) from error
    return name
