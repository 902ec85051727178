"""Releases: which there are, which one runs, which one to go back to, and what is remembered of them."""
