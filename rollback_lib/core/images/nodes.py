"""What the cluster's nodes say to images: for which platforms they must be, and which of them lie there already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from rollback_lib.core.images.reference import digest_of, parse
from rollback_lib.core.kube import scheduling
from rollback_lib.core.kube.objects import Object, name_of

ASSUMED: Final = ("linux/amd64",)


class PodNodes(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes that the pods of one workload can use now.

    ``known`` is false where nodes may not be listed: then ``platforms`` is `ASSUMED`. It is empty where no node takes
    these pods. ``digests`` has the nodes that say they hold a digest; ``tags`` the digests that they hold under a name
    (``docker.io/library/zipkin:2``). Nodes name only some of their images (50, by kubelet's default), so that what is
    not among them may still be there.
    """

    platforms: tuple[str, ...] = ASSUMED
    known: bool = False
    digests: Mapping[str, tuple[str, ...]] = {}
    tags: Mapping[str, tuple[str, ...]] = {}

    def holding(self, digests: Iterable[str]) -> tuple[str, ...]:
        """The nodes that hold an image of this digest set."""
        return tuple(sorted({node for d in set(digests) for node in self.digests.get(d, ())}))

    def digest_of(self, text: str) -> str:
        """The digest that they hold under this tag; empty where none does, or where they hold different bits."""
        found = self.tags.get(_tagged(text), ())
        return found[0] if len(found) == 1 else ""


class Nodes(msgspec.Struct, frozen=True):
    """The nodes of the cluster; None where they may not be listed."""

    all: tuple[Object, ...] | None = None

    @property
    def platforms(self) -> tuple[str, ...]:
        """Those of the Ready nodes that are not cordoned; where there is none, or none may be seen, `ASSUMED`."""
        return _platforms(n for n in self.all or () if scheduling.is_ready(n) and not _is_cordoned(n)) or ASSUMED

    def of(self, workload: Mapping[str, Any]) -> PodNodes:
        """What counts for the pods of this workload."""
        if self.all is None:
            return PodNodes()
        nodes = scheduling.usable(self.all, workload)
        there: dict[tuple[str, ...], list[str]] = {}  # most nodes hold the same
        for node in nodes:
            for image in (node.get("status") or {}).get("images") or ():
                there.setdefault(tuple(image.get("names") or ()), []).append(name_of(node))
        digests: dict[str, set[str]] = {}
        tags: dict[str, set[str]] = {}
        for names, holders in there.items():
            mine = {d for name in names if (d := digest_of(name))}
            for digest in mine:
                digests.setdefault(digest, set()).update(holders)
            for tag in filter(None, map(_tagged, names)):
                tags.setdefault(tag, set()).update(mine)
        return PodNodes(
            platforms=_platforms(nodes), known=True,
            digests={d: tuple(sorted(found)) for d, found in digests.items()},
            tags={t: tuple(sorted(found)) for t, found in tags.items()},
        )  # fmt: skip


UNSEEN: Final = Nodes()


def _is_cordoned(node: Mapping[str, Any]) -> bool:
    """Whether somebody keeps new pods off it."""
    return bool((node.get("spec") or {}).get("unschedulable"))


def _platforms(nodes: Iterable[Object]) -> tuple[str, ...]:
    return tuple(sorted({p for n in nodes if (p := scheduling.platform(n))}))


def _tagged(text: str) -> str:
    try:
        named = parse(text)
    except ValueError:
        return ""
    return "" if named.digest else f"{named.name}:{named.target}"
