"""Keeping the copy of a run in the cluster. One way: the run directory is the truth, and only `resume` reads the copy.

It is there before the first write. Later it may lag behind: what was done is read back from the objects themselves, so
a journal that ends early only means that they are looked at again.
"""

from __future__ import annotations

import contextlib

from rollback_lib.core.errors import RefusedError, RollbackError
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.run import cluster_copy
from rollback_lib.core.run.records import Request
from rollback_lib.ports import ClusterRecords, Ports, RunStore


class RunCopy:
    """The copy of one run."""

    def __init__(self, run: RunStore, ports: Ports) -> None:
        self._run, self._ports = run, ports
        self._stored: Object | None = None
        self._is_new = False  # this process made it

    def keep(self, *, first: bool = False) -> None:
        """Store the run as it is now. A cluster that does not take it costs only the copy, and that is said.

        ``first``: before the lock. Raises RefusedError where there is nothing left to store of the run directory then.
        """
        try:
            names = self._run.files()
            packed = cluster_copy.pack({name: self._run.read(name) for name in names})
        except (RefusedError, OSError) as error:
            if first:
                raise RefusedError(str(error)) from error
            return  # the directory is being taken away: the copy that is there is the better one
        if len(packed) > cluster_copy.LIMIT:
            return  # preflight has said so
        request = self._run.get(Request)
        records = self._ports.records
        try:
            stored = records.put(cluster_copy.config_map(request, packed, self._stored))
            self._is_new = self._is_new or (stored is not None and self._stored is None)
            if stored is None:
                there = records.get("ConfigMap", cluster_copy.name(request.run))
                if there is None and self._stored is not None:
                    return  # whoever took it away goes on with this run, or has ended it
                stored = records.put(cluster_copy.config_map(request, packed, there))
            self._stored = stored
        except RefusedError as error:
            if self._stored is None:
                self._ports.progress.say(f"No copy of this run is kept in the cluster: {error}")

    def withdraw(self) -> None:
        """Take back a copy that this process has made; one that was there before belongs to another."""
        if self._is_new:
            self.remove()

    def remove(self, undone: str = "") -> None:
        """Take the copy away, and that of the run that is ``undone``. One that stays behind harms nobody."""
        records = self._ports.records
        with contextlib.suppress(RollbackError):
            if undone and (other := records.get("ConfigMap", cluster_copy.name(undone))) is not None:
                records.delete(other)
        with contextlib.suppress(RollbackError):
            if self._stored is not None and records.delete(self._stored):
                return
            there = records.get("ConfigMap", cluster_copy.name(self._run.get(Request).run))
            if there is not None:
                records.delete(there)


def forget_old(records: ClusterRecords, application: str) -> None:
    """Keep the copies of the last few runs that did not end well, and no more."""
    with contextlib.suppress(RollbackError):
        found = sorted(records.list("ConfigMap", cluster_copy.labels(application)), key=cluster_copy.run_of)
        for old in found[: -cluster_copy.KEPT]:
            records.delete(old)
