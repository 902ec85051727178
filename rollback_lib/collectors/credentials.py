"""Headers whose values only the environment has."""

from __future__ import annotations

from collections.abc import Mapping

from rollback_lib.core.errors import RefusedError


def headers(credentials: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Header → value. Raises RefusedError naming the variable that is not set, or is not one line."""
    found = {}
    for header, variable in credentials.items():
        value = environ.get(variable, "").strip()
        if not value:
            raise RefusedError(f"the environment variable {variable} is not set; header {header} is sent from it.")
        if not value.isprintable() or not value.isascii():
            raise RefusedError(f"the environment variable {variable} is no header's value: one line of ASCII.")
        found[header] = value
    return found
