"""Closing traffic and opening it exactly as it was."""
