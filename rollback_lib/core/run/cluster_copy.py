"""The copy of a run in the cluster: one ConfigMap, from which a machine without the run directory can finish it."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Final

import msgspec

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.kube.objects import Object, name_of
from rollback_lib.core.run.lock import APPLICATION
from rollback_lib.core.run.records import Request

LIMIT: Final = 1_000_000  # bytes: a ConfigMap takes 1 MiB, its metadata included
KEPT: Final = 5  # copies of runs that did not end well, an application
_UNPACKED: Final = 64_000_000  # bytes; a copy that would be larger is not one of ours
_RECORD: Final = "rollback-lib/record"
_ENVIRONMENT: Final = "rollback-lib/environment"
_PREFIX: Final = "rollback-run-"
_FILES: Final = "files"


def name(run: str) -> str:
    """The ConfigMap's name."""
    return _PREFIX + run


def run_of(copy: Object) -> str:
    """The id of the run that it is of; ids sort by time."""
    return name_of(copy).removeprefix(_PREFIX)


def labels(application: str, environment: str = "") -> dict[str, str]:
    """What the copies of an application (of one environment) are found by."""
    found = {APPLICATION: application, _RECORD: "run"}
    return {**found, _ENVIRONMENT: environment} if environment else found


def pack(files: Mapping[str, bytes]) -> bytes:
    """The files of a run, compressed."""
    return zlib.compress(msgspec.msgpack.encode(dict(files)), 6)


def unpack(copy: Object) -> dict[str, bytes]:
    """The files of a run by name. Raises RefusedError where the copy does not read."""
    try:
        data = base64.b64decode(copy["binaryData"][_FILES], validate=True)
        plain = zlib.decompressobj()
        found = msgspec.msgpack.decode(plain.decompress(data, _UNPACKED), type=dict[str, bytes])
    except (KeyError, TypeError, binascii.Error, zlib.error, msgspec.MsgspecError):
        raise RefusedError(
            f"the copy of run {run_of(copy)} in the cluster (ConfigMap {name_of(copy)}) does not read."
        ) from None
    return found


def config_map(request: Request, packed: bytes, on: Object | None = None) -> Object:
    """The ConfigMap, new or in place of exactly the version ``on``."""
    meta: Object = {"name": name(request.run)} if on is None else dict(on["metadata"])
    meta["labels"] = labels(request.application, request.environment)
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta,
        "binaryData": {_FILES: base64.b64encode(packed).decode()},
    }  # fmt: skip
