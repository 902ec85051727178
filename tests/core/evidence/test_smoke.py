"""What an answer through the API server says, and of whom."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollback_lib.core.evidence.smoke import is_forbidden

DENIED: dict[str, Any] = {
    "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
    "message": 'pods "cart-1" is forbidden: User "ana" cannot get resource "pods/proxy"',
    "details": {"name": "cart-1", "kind": "pods"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "forbidden"),
    [
        (403, json.dumps(DENIED).encode(), True),
        (403, b"<html>Forbidden</html>", False),  # the pod's own
        (403, b'{"error": "forbidden"}', False),
        (403, json.dumps({**DENIED, "details": {"kind": "orders"}}).encode(), False),  # of an API that talks like one
        (403, b"[" * 100_000, False),
        (403, b"", False),
        (503, json.dumps({**DENIED, "code": 503}).encode(), False),
        (200, json.dumps(DENIED).encode(), False),
    ],
)
def test_a_403_of_the_api_server_s_own_says_nothing_of_the_service(status: int, body: bytes, forbidden: bool) -> None:
    assert is_forbidden(status, body) is forbidden
