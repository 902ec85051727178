"""Whether a release's tag is the same commit at the remote: asked beside other work, and never a reason to end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rollback_lib.collectors.threads import begin
from rollback_lib.core.releases import tags
from rollback_lib.core.releases.tags import ReleaseRef, RepositoryIdentity
from rollback_lib.core.run.records import Resolution
from rollback_lib.ports import Ports


def ask(
    repository: RepositoryIdentity, resolution: Resolution, current: ReleaseRef, ports: Ports
) -> Callable[[], Sequence[str]]:
    """Begin to ask; the answer, as warnings, is there when it is called for. Nothing where nobody answers."""
    known = {r.release for r in resolution.releases} | {resolution.target.release}
    wanted = {r.release: r for r in (resolution.target, current) if r.release in known and r.commit}
    if not repository.remote or resolution.target.chosen_how == tags.UNDONE:
        return tuple
    asked = begin(lambda: ports.git.remote_tags(tuple(wanted)))

    def answer() -> Sequence[str]:
        try:
            there = asked.result()
        except Exception:  # it says more, and decides nothing
            there = None
        return () if there is None else tuple(tags.differ_at(repository, wanted.values(), there))

    return answer
