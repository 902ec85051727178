"""Which commits hold a text: one `git grep` over many of them, for what a release's files name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollback_lib.adapters.git_program import Answer, GitProgram

_COMMITS: Final = 300  # in one question: a command line of Windows holds 32,000 characters
# Fixed texts, each alone, whatever the user has configured for people.
_GREP: Final = (
    "grep", "-F", "-I", "-o", "-z", "--full-name", "--no-color", "--no-line-number", "--no-column",
    "--no-recurse-submodules", "-f", "-",
)  # fmt: skip


def naming(
    git: GitProgram, texts: Sequence[str], commits: Sequence[str], prefixes: Sequence[str]
) -> tuple[dict[str, set[str]], Answer | None]:
    """(the texts that stand in these files of each commit, how git failed where it did)."""
    found: dict[str, set[str]] = {}
    patterns = "".join(f"{text}\n" for text in texts if text and "\n" not in text).encode()
    where = () if "" in prefixes else prefixes
    for begin in range(0, len(commits) if patterns else 0, _COMMITS):
        some = commits[begin : begin + _COMMITS]
        answer = git.run(*_GREP, *some, "--", *where, stdin=patterns)
        if answer.code > 1 or (answer.code and answer.said):  # 1: nothing was found
            return {}, answer
        for line in answer.out.split(b"\n"):
            place, nul, text = line.partition(b"\0")
            commit = place[: len(some[0])].decode(errors="replace")
            if nul and commit in some:  # a path with a line break begins a line that is none
                found.setdefault(commit, set()).add(text.decode(errors="replace"))
    return found, None
