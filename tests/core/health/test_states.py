"""One line a state: what one look, a minute after the patch, says of it. ``!`` marks a final cause."""

from __future__ import annotations

import pytest

from rollback_lib.core.health import assess
from tests.core.health.states import DATA, after, state

STATES = [
    # state, health, causes, in the message
    ("cron-job", "unproven", "", "not awaited"),
    ("daemon-set-crash-loop", "failed", "CrashLoopBackOff!", "exit code 3"),
    ("daemon-set-dead-node-leaves-room", "progressing", "", "0 of 1 new pods ready"),
    ("daemon-set-dead-node-uses-up-the-budget", "progressing", "MaxUnavailable", "(n2) use up its maxUnavailable of 1"),
    ("daemon-set-healthy-by-count", "healthy", "", "2 of 2 new pods ready"),
    ("daemon-set-healthy-by-revision", "healthy", "", "2 of 2 new pods ready"),
    ("daemon-set-healthy", "healthy", "", "2 of 2 new pods ready"),
    ("daemon-set-node-not-ready", "healthy", "", "(n2), not judged"),
    ("daemon-set-progressing", "progressing", "", "1 of 2 new pods ready"),
    ("daemon-set-wanted-nowhere", "unproven", "", "nothing is proven"),
    ("deployment-all-nodes-not-ready", "unproven", "", "(n1), not judged"),
    ("deployment-at-zero", "unproven", "", "0 replicas"),
    ("deployment-config-cache-sync", "progressing", "CreateContainerConfigError", "failed to sync"),
    ("deployment-config-error", "failed", "CreateContainerConfigError!", 'secret "db" not found'),
    (
        "deployment-crash-loop",
        "failed",
        "CrashLoopBackOff!",
        "container shop crashed 4 times, exit code 3; last line: FATAL: no config",
    ),
    ("deployment-crashed-twice", "progressing", "CrashLoopBackOff", "crashed twice"),
    ("deployment-evicted-pod-is-left", "healthy", "", "1 of 1 new pods ready"),
    ("deployment-generation-not-observed", "progressing", "", "has not seen"),
    ("deployment-healthy-while-old-pod-terminates", "healthy", "", "1 of 1 new pods ready"),
    ("deployment-healthy-with-stale-deadline", "healthy", "", "1 of 1 new pods ready"),
    ("deployment-healthy", "healthy", "", "3 of 3 new pods ready"),
    ("deployment-image-denied", "failed", "ImagePullBackOff!", "access denied"),
    ("deployment-image-not-found-in-event", "failed", "ImagePullBackOff!", "manifest unknown"),
    ("deployment-image-not-found", "failed", "ErrImagePull!", "the registry does not have it"),
    ("deployment-image-rate-limited", "progressing", "ErrImagePull", "tries again by itself"),
    ("deployment-init-container-crash-loop", "failed", "CrashLoopBackOff!", "init container migrate"),
    ("deployment-init-container-done", "progressing", "NotReady", "0 of 1 new pods ready"),
    ("deployment-invalid-image-name", "failed", "InvalidImageName!", "image name"),
    ("deployment-min-ready-seconds", "progressing", "", "minReadySeconds (20 s)"),
    ("deployment-no-newest-replica-set", "progressing", "", "no ReplicaSet"),
    ("deployment-no-room-beside-old-pod", "failed", "Unschedulable!", "old pod shop-old-1 holds room"),
    ("deployment-node-not-ready", "healthy", "", "(n2), not judged"),
    ("deployment-old-pod-still-runs", "progressing", "", "1 of the old pods"),
    ("deployment-one-of-two-crash-loops", "progressing", "CrashLoopBackOff", "1 of 2 new pods ready"),
    ("deployment-only-old-pods-ready", "progressing", "", "0 of 1 new pods ready"),
    ("deployment-out-of-memory", "failed", "OOMKilled!", "out of memory, exit code 137"),
    ("deployment-probe-fails", "progressing", "NotReady", "statuscode: 503"),
    ("deployment-progress-deadline", "progressing", "NotReady ProgressDeadline", "0 of 1 new pods ready"),
    ("deployment-progressing", "progressing", "NotReady", "1 of 3 new pods ready"),
    ("deployment-quota-from-before", "progressing", "ReplicaFailure", "0 of 1 new pods ready"),
    ("deployment-quota-while-terminating", "progressing", "ReplicaFailure", "0 of 1 new pods ready"),
    ("deployment-quota", "progressing", "ReplicaFailure", "exceeded quota"),
    ("deployment-recreate-says-available", "progressing", "", "0 of 1 new pods ready"),
    ("deployment-registry-unreachable", "progressing", "ImagePullBackOff", "i/o timeout"),
    ("deployment-runs-again-after-crashes", "progressing", "Crashed", "0 of 1 new pods ready"),
    ("deployment-sidecar-image-not-found", "failed", "ErrImagePull!", "sidecar proxy cannot pull proxy:v9"),
    ("deployment-unschedulable", "failed", "Unschedulable!", "Insufficient memory): free room"),
    ("deployment-volume-lacked-a-key-before", "progressing", "FailedMount", "cannot start yet"),
    ("deployment-volume-lacks-config-key", "failed", "FailedMount!", "non-existent config key: app.properties): put"),
    ("deployment-volume-lacks-secret-key", "failed", "FailedMount!", "non-existent secret key: tls.key): put the key"),
    ("deployment-volume-missing", "progressing", "FailedMount", 'secret "keys" not found'),
    ("stateful-set-at-zero", "unproven", "", "restored, but at 0 replicas, so nothing is proven"),
    ("stateful-set-crash-loop", "failed", "CrashLoopBackOff!", "container shop crashed 4 times, exit code 3"),
    ("stateful-set-generation-not-observed", "progressing", "", "has not seen"),
    ("stateful-set-healthy", "healthy", "", "2 of 2 new pods ready"),
    ("stateful-set-node-not-ready", "healthy", "", "(n2), not judged"),
    ("stateful-set-partition-not-ready-below", "progressing", "NotReady", "below the partition"),
    ("stateful-set-partition-over-all", "unproven", "", "partition lets no pod"),
    ("stateful-set-partition", "healthy", "", "keeps 1 of its pods"),
    ("stateful-set-pod-terminates", "progressing", "", "1 of 2 new pods ready"),
    ("stateful-set-progressing", "progressing", "", "1 of 2 new pods ready"),
    ("stateful-set-quota", "progressing", "ReplicaFailure", "exceeded quota"),
    ("stateful-set-stuck", "progressing", "StuckPod", "delete pod shop-2"),
]


@pytest.mark.parametrize(("name", "health", "causes", "said"), STATES, ids=[s[0] for s in STATES])
def test_state(name, health, causes, said):
    report = assess(state(name), after(60))
    print(report)
    named = " ".join(cause.name + "!" * cause.final for cause in report.causes)
    assert (report.health, named) == (health, causes)
    assert said in report.message


def test_every_state_has_its_line():
    assert {file.stem for file in DATA.iterdir()} == {name for name, *_ in STATES}
