"""`rollback init`: a rollback.yaml from what the repository shows, each guess with its reason beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.readouts import guesses, init
from rollback_lib.core.readouts.init import Proposal
from rollback_lib.core.releases import left_out
from rollback_lib.core.releases import tags as release
from rollback_lib.core.releases.left_out import NEXT, LeftOut
from rollback_lib.ports import Checkout
from rollback_lib.releases import reading


def look(git: Checkout, name: str) -> Proposal:
    """What HEAD's tree and the tags show, as a rollback.yaml. A clone without tags gets the usual pattern.

    ``name`` is what the repository is called.
    """
    commit = git.head_commit()
    paths = git.list_paths(commit) if commit else ()
    texts = reading.texts_that_matter(git, commit) if commit else {}
    no_tags = ""
    tags: Sequence[release.Tag] = ()
    try:
        tags = git.tags()
    except RefusedError as error:
        no_tags = str(error)
    names = [t.name for t in tags]
    guess = guesses.guess(paths, lambda p: texts[p] if p in texts else git.read(commit, p), names, name)
    found = guess.settings
    releases = tuple(t.name for t in release.releases(tags, found.releases.tag))
    left = left_out.find(texts, found, guess.objects)
    return Proposal(
        text=init.text(guess), settings=found, services=guess.services, no_tags=no_tags, releases=releases,
        open=tuple(map(init.of_variable, guess.open)), left_out=left, next=tuple(_next(left, len(releases))),
    )  # fmt: skip


def _next(left: LeftOut, releases: int) -> Iterator[str]:
    for tool in dict.fromkeys(other.tool for other in left.others):
        yield NEXT[tool].format(place=next(o.place for o in left.others if o.tool == tool))
    if left.objects:
        yield "add what is left out to `manifests.path` if it is deployed with this, else to `manifests.ignore`."
    if not releases:
        yield init.FIRST_RELEASE
    elif releases == 1:
        yield init.SECOND_RELEASE
