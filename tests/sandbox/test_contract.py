"""The contract, on the sandbox."""

from tests.sandbox.contract import Contract


class TestSandbox(Contract):
    """`world` is the sandbox; see conftest.py."""
