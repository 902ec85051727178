"""Health of workloads: a pure reading of what the API server returned, with its reason.

`assess` judges one snapshot, `look` remembers it for the next round, `limit` says how long to go on. `ready_now`
opens the next wave, `stuck_pod` names what must be deleted by hand, `refusable` is preflight's question.
"""

from rollback_lib.core.health.assess import assess, ready_now, refusable
from rollback_lib.core.health.limits import limit
from rollback_lib.core.health.pods.newest import newest_pods
from rollback_lib.core.health.pods.pods import is_ready, owned
from rollback_lib.core.health.pods.report import Cause, Crash, EarlierRounds, Health, Patience, Report, View
from rollback_lib.core.health.pods.rounds import look
from rollback_lib.core.health.stateful_set import may_stick, misfit_pod, stuck_pod

__all__ = [
    "Cause",
    "Crash",
    "EarlierRounds",
    "Health",
    "Patience",
    "Report",
    "View",
    "assess",
    "is_ready",
    "limit",
    "look",
    "may_stick",
    "misfit_pod",
    "newest_pods",
    "owned",
    "ready_now",
    "refusable",
    "stuck_pod",
]
