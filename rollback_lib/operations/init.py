"""`rollback init`: a rollback.yaml from what the repository shows, each guess with its reason beside it."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.manifests import services
from rollback_lib.core.readouts import guesses, init
from rollback_lib.core.readouts.init import Proposal
from rollback_lib.core.releases import tags as release
from rollback_lib.ports import Checkout


def look(git: Checkout, name: str) -> Proposal:
    """What HEAD's tree and the tags show, as a rollback.yaml. A clone without tags gets the usual pattern.

    ``name`` is what the repository is called.
    """
    commit = git.head_commit()
    paths = git.list_paths(commit) if commit else ()
    no_tags = ""
    tags: Sequence[release.Tag] = ()
    try:
        tags = git.tags()
    except RefusedError as error:
        no_tags = str(error)
    guess = guesses.guess(paths, lambda path: git.read(commit, path), [t.name for t in tags], name)
    found = guess.settings
    where = services.discover(paths, found.manifests.path, found.manifests.shared, (), found.services.ignore)
    seen = [s.name for s in where.services if s.name] or [f for s in where.services for f in s.files]
    return Proposal(
        text=init.text(guess), settings=found, services=tuple(seen), no_tags=no_tags,
        releases=tuple(t.name for t in release.releases(tags, found.releases.tag)),
        open=tuple(map(init.of_variable, guess.open)),
    )  # fmt: skip
