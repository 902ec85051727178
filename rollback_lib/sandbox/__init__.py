"""A Kubernetes API server to play with, inside this process: what a rollback touches, and nothing else.

It imports nothing of ours, so that it cannot share our mistakes. `Sandbox` in `cluster` is the door.
"""
