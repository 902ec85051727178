"""Kubernetes as a rollback sees it: kinds, objects, who owns them, what refers to what. Pure."""
