"""Turn a team's written rollback plan for Kubernetes microservices into software that runs."""

__version__ = "0.1.0"  # a literal: importlib.metadata would cost every command 76 ms
