"""A run: its records, its journal, its changes, its lock, and its copy in the cluster."""
