"""Whether we may do what a plan needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollback_lib.collectors import threads
from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.reasons import Reason
from rollback_lib.core.rights import permissions
from rollback_lib.ports import Cluster


def lacking(needed: Sequence[tuple[str, str, str]], cluster: Cluster) -> Iterator[Refusal]:
    """What we may not do, of (verb, kind, name) each: by the rules that the cluster tells, then by its own word."""
    if not needed:
        return
    rules, _ = cluster.rules()
    doubtful = [n for n in needed if not permissions.allows(rules, n[0], KINDS[n[1]].group, KINDS[n[1]].plural, n[2])]
    for (verb, kind, name), allowed in zip(doubtful, threads.each(lambda n: cluster.may(*n), doubtful), strict=True):
        if not allowed:
            what = f"{KINDS[kind].plural}/{name}" if name else KINDS[kind].plural
            code = "" if verb == "list" else f"permission:{name or kind}"  # blind, nobody goes on
            yield Refusal(
                f"we may not {verb} {what}.", code=code, fix=f"Allow `{verb}` in the Role.",
                reason=Reason.NO_RIGHT, subject=what, facts=(verb,),
            )  # fmt: skip
