"""The bill of materials beside the wheel, as CycloneDX.

Written with the library that the tools of CycloneDX and pip-audit are made of. `cyclonedx-py requirements` names the
address of an index with every component, and `cyclonedx-py environment` has no hashes: a lock has these and no address.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from supply.lock import Pin


def bill(own: Pin, needed: Sequence[Pin], when: int) -> str:
    """``own``: the wheel; ``needed``: all that the lock installs with it; ``when``: seconds since 1970."""
    wheel = _component(own, ComponentType.APPLICATION)
    components = [_component(pin, ComponentType.LIBRARY) for pin in needed]
    bom = Bom(components=components, serial_number=uuid.uuid5(uuid.NAMESPACE_OID, own.hashes[0]))
    bom.metadata.timestamp = datetime.fromtimestamp(when, UTC)
    bom.metadata.component = wheel
    bom.register_dependency(wheel, components)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _component(pin: Pin, kind: ComponentType) -> Component:
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=h) for h in pin.hashes]
    purl = (
        None if kind is ComponentType.APPLICATION else PackageURL("pypi", None, pin.name, pin.version)
    )  # ours is on no index
    return Component(name=pin.name, version=pin.version, type=kind, bom_ref=pin.name, purl=purl, hashes=hashes)
