"""The settings of every program of the cluster, as text to be filled in."""

from pathlib import Path
from typing import Any

BRIDGE = "rbl-cni0"
SERVICE_RANGE = "10.197.0.0/16"
POD_RANGE = "10.198.0.0/16"
NODE = "localhost"  # the API server reaches the kubelet by this name
CONTEXT = "test"
USERS = (
    "admin",
    "operator",
    "smallrole",
    "named",
    "reader",
    "deployer",
    "nobody",
)  # all but admin start with no rights
COMPONENTS = {
    "controller-manager": "system:kube-controller-manager",
    "scheduler": "system:kube-scheduler",
    "kubelet": f"system:node:{NODE}",
    "kube-proxy": "system:kube-proxy",
}


# The components' own reading would be nine tenths of the log. Their writes stay: they show who scaled what.
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [system:apiserver, {components}]
  verbs: [get, list, watch]
- level: None
  users: [system:apiserver, {components}]
  resources:
  - group: coordination.k8s.io
    resources: [leases]
- level: Metadata
"""
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: {context}
clusters:
- name: {context}
  cluster:
    server: {server}
    certificate-authority: {certificate}
contexts:
- name: {context}
  context:
    cluster: {context}
    user: {user}
users:
- name: {user}
  user:
    token: {token}
"""
REGISTRY_CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""
# restrict_oom_score_adj: without CAP_SYS_RESOURCE runc dies ("can't get final child's PID from pipe: EOF") when it
# lowers the score. netns_mounts_under_state_dir keeps the pods' network namespaces where we can unmount them.
CONTAINERD_CONFIG = """\
version = 2
root = "{work}/containerd"
state = "{work}/run"
oom_score = 0
[grpc]
  address = "{work}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/rollback-lib/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  tolerate_missing_hugetlb_controller = true
  max_concurrent_downloads = 8
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{work}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{work}/runc"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{work}/hosts"
"""
# Also for every other registry, so that an image of the internet is "not found" here and not a timeout.
REGISTRY_HOSTS = """\
server = "{url}"
[host."{url}"]
  capabilities = ["pull", "resolve"]
"""
KUBELET_CONFIG = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: {port}
healthzPort: 0
readOnlyPort: 0
authentication:
  anonymous: {{enabled: true}}
  webhook: {{enabled: false}}
authorization: {{mode: AlwaysAllow}}
containerRuntimeEndpoint: unix://{work}/containerd.sock
podLogsDir: {work}/pod-logs
volumePluginDir: {work}/volume-plugins
failCgroupV1: false
cgroupDriver: cgroupfs
enforceNodeAllocatable: []
failSwapOn: false
evictionHard: {{}}
serializeImagePulls: false
registryPullQPS: 0
eventRecordQPS: 0
kubeAPIQPS: 200
kubeAPIBurst: 400
maxPods: 250
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 5s
resolvConf: ""
makeIPTablesUtilChains: false
"""


def network(work: Path) -> dict[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,  # a pod that calls its own Service
        "ipam": {
            "type": "host-local",
            "dataDir": str(work / "ipam"),
            "ranges": [[{"subnet": POD_RANGE}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "0.4.0", "name": "rollback-lib", "plugins": [bridge]}
