"""What an object and a container are called: one type for each, wherever one is named, compared or looked up."""

from __future__ import annotations

from typing import Self

import msgspec

from rollback_lib.core.kube.kinds import FORMER_GROUP, KINDS


class ObjectRef(msgspec.Struct, frozen=True, order=True):
    """One object: its group, kind, namespace and name (design §6).

    ``group`` is empty for the kind's usual group (`core.kube.kinds`), so that a reference to one of those needs no
    version; of another group that has a kind of the same name it is that group. As text it is ``Deployment/web``, or as
    kubectl names a kind of a group ``NetworkPolicy.crd.projectcalico.org/web``.

    ``namespace`` is empty for the environment's own; of an object that manifests put into another one it is that one,
    and stands in the text before the name: ``Role/monitoring/reader``.
    """

    kind: str
    name: str
    group: str = ""
    namespace: str = ""

    @property
    def type(self) -> str:
        """The kind as `core.kube.kinds` and kubectl name it: one of another group than the usual with that group."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @classmethod
    def of(cls, api_version: str, kind: str, name: str, namespace: str = "") -> Self:
        """The reference of an object with this apiVersion; without one it is the kind's usual group."""
        group = api_version.partition("/")[0] if "/" in api_version else ""
        usual = not api_version or (kind in KINDS and group in (KINDS[kind].group, FORMER_GROUP))
        return cls(kind, name, "" if usual else group, namespace)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reference that `str` made this text of."""
        what, _, called = text.partition("/")
        kind, _, group = what.partition(".")
        namespace, _, name = called.rpartition("/")
        return cls(kind, name, group, namespace)

    def __str__(self) -> str:
        return "/".join(part for part in (self.type, self.namespace, self.name) if part)


class ContainerRef(msgspec.Struct, frozen=True, order=True):
    """What runs or holds an image in a workload's pod template: a container, or a volume that is an image.

    An init container, and a volume, may have the name of another container.
    """

    workload: ObjectRef
    name: str
    init: bool = False
    volume: bool = False

    @property
    def field(self) -> str:
        """The field of a pod template that it stands in."""
        return "volumes" if self.volume else "initContainers" if self.init else "containers"

    @property
    def what(self) -> str:
        """What it is, for a person."""
        return "image volume" if self.volume else "init container" if self.init else "container"

    def __str__(self) -> str:
        return f"{self.what} {self.name} of {self.workload}"
