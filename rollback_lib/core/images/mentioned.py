"""The team's images that a program is told of, by a variable or an argument: it starts pods of its own from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from rollback_lib.core.images.reference import parsed
from rollback_lib.core.images.rungs import ImageSettings, Wanted, is_own
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.objects import containers, kind_of, template


class Told(NamedTuple):
    """One text and what it is called: the variable, the key, or the argument that it stands in."""

    name: str
    text: str


def texts(body: Mapping[str, Any]) -> Iterator[Told]:
    """What an object tells programs: variables and arguments of its containers, the keys of a ConfigMap."""
    if kind_of(body) == "ConfigMap":
        yield from (Told(str(key), value) for key, value in (body.get("data") or {}).items() if isinstance(value, str))
    for _, container in containers(template(body)):
        for variable in container.get("env") or []:
            if isinstance(value := variable.get("value"), str):
                yield Told(str(variable.get("name")), value)
        for field in ("command", "args"):
            for word in container.get(field) or []:
                if isinstance(word, str):  # --image=x:prod
                    yield Told(field, word.rpartition("=")[2])


def moves(text: str, settings: ImageSettings) -> bool:
    """Whether it is an image of the team's by a tag that deploys overwrite; such a tag has to stand in it."""
    named = parsed(text)
    if named is None or named.digest or named.tag not in settings.mutable_tags:
        return False
    service = named.path.rpartition("/")[2]
    if not settings.repository:
        return service in settings.services
    # it need not be of a service that the manifests have
    wanted = Wanted(service, ContainerRef(ObjectRef("", ""), ""), text)
    return is_own(wanted, msgspec.structs.replace(settings, services=()))
