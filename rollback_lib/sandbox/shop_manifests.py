"""The sample shop's manifests: what a team with ten services and one image tag commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

SHARED: Final = "k8s/common-config.yaml"
PORT: Final = 8080
THRESHOLD: Final = "CIRCUIT_BREAKER_THRESHOLD"

_CONFIG: Final = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: common-config
data:
  # shared by every service
  EUREKA_CLIENT_SERVICEURL_DEFAULTZONE: http://service-discovery:8761/eureka/
  CIRCUIT_BREAKER_THRESHOLD: "{threshold}"
"""
_DEPLOYMENT: Final = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {service}
  labels:
    app: {service}
spec:
  replicas: 1
  selector:
    matchLabels:
      app: {service}
  template:
    metadata:
      labels:
        app: {service}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: {service}
        image: {organization}/{service}:prod  # the tag that every release overwrites
        ports:
        - containerPort: {port}
        env:
        - name: SPRING_PROFILES_ACTIVE
          value: "prod"
{variables}        envFrom:
        - configMapRef:
            name: common-config
        readinessProbe:
          httpGet:
            path: /
            port: {port}
          periodSeconds: 1
"""
_SERVICE: Final = """\
apiVersion: v1
kind: Service
metadata:
  name: {service}
  labels:
    app: {service}
spec:
  type: ClusterIP
  ports:
  - name: http
    port: 80
    targetPort: {port}
  selector:
    app: {service}
"""
# What tells the releases apart. Every release has something of its own, or deploying it would start no rollout.
_VARIABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "v1.0.0": {"LEGACY_CHECKOUT": "on"},
    "v1.1.0": {"LOG_LEVEL": "info"},
    "v1.2.0": {"LOG_LEVEL": "info", "NEW_FLAG": "on"},
}


def thresholds(*, config_only: bool) -> dict[str, str]:
    """Each release's value of `THRESHOLD`: what tells the releases' shared configuration apart."""
    return {release: "0" if config_only and release == "v1.2.0" else "50" for release in _VARIABLES}


def variables() -> frozenset[str]:
    """Every variable that a manifest of any release names."""
    return frozenset({"SPRING_PROFILES_ACTIVE", *(name for each in _VARIABLES.values() for name in each)})


def manifests(release: str, services: Sequence[str], organization: str, *, config_only: bool = False) -> dict[str, str]:
    """path → text. With ``config_only`` the last release differs from the one before in its configuration alone."""
    like = "v1.1.0" if config_only and release == "v1.2.0" else release
    files = {SHARED: _CONFIG.format(threshold=thresholds(config_only=config_only)[release])}
    named = "".join(f'        - name: {name}\n          value: "{v}"\n' for name, v in _VARIABLES[like].items())
    for service in services:
        files[f"k8s/{service}/deployment.yaml"] = _DEPLOYMENT.format(
            service=service, organization=organization, variables=named, port=PORT
        )
        files[f"k8s/{service}/service.yaml"] = _SERVICE.format(service=service, port=PORT)
    return files
