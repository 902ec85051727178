"""Refusals as an API server words them: a `Status` with code, reason and details."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollback_lib.sandbox.schema import Resource

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(
        self, code: int, message: str, *, reason: str | None = None, details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.code = code
        self.headers = dict(headers or {})
        self.body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": _REASONS.get(code, "") if reason is None else reason,
            **({} if details is None else {"details": dict(details)}),
            "code": code,
        }


def _details(resource: Resource, name: str) -> dict[str, Any]:
    return {**({"name": name} if name else {}), **({"group": resource.group} if resource.group else {}),
            "kind": resource.plural}  # fmt: skip


def not_found(resource: Resource, name: str) -> ApiError:
    return ApiError(404, f'{resource.qualified} "{name}" not found', details=_details(resource, name))


def already_exists(resource: Resource, name: str, *, leaving: bool = False) -> ApiError:
    """`leaving`: the one that has the name is on its way out."""
    message = ("object is being deleted: " if leaving else "") + f'{resource.qualified} "{name}" already exists'
    return ApiError(409, message, reason="AlreadyExists", details=_details(resource, name))


def conflict(resource: Resource, name: str) -> ApiError:
    message = (
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": the object has been modified; '
        f"please apply your changes to the latest version and try again"
    )
    return ApiError(409, message, details=_details(resource, name))


def invalid(resource: Resource, name: str, causes: Sequence[tuple[str, str, str]]) -> ApiError:
    """`causes`: (reason, field, message)."""
    told = [f"{field}: {message}" for _, field, message in causes]
    text = told[0] if len(told) == 1 else "[" + ", ".join(told) + "]"
    title = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = {
        **_details(resource, name),
        "kind": resource.kind,
        "causes": [{"reason": r, "message": m, "field": f} for r, f, m in causes],
    }
    return ApiError(422, f'{title} "{name}" is invalid: {text}', details=details)


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    named = f' "{name}"' if name else ""
    return ApiError(403, f"{resource.qualified}{named} is forbidden: {why}", details=_details(resource, name))


def not_here(what: str) -> ApiError:
    """Something that a real API server may do and that this one does not."""
    return ApiError(
        404,
        f"the server could not find the requested resource: this is rollback's sandbox, and it does not do {what}",
        reason="NotFound",
    )
