"""Fault-injection checks, run under a DAG that records every task execution.

Each fault strikes while a run of ``fault_dags`` is under way. Afterwards the executions
that its tasks recorded are compared with what Airflow says: see ``execution_record``.
"""

from __future__ import annotations

from acceptance.faults import kills

ENVIRONMENT = {kills.HEARTBEAT_TIMEOUT: str(kills.HEARTBEAT_SECONDS)}
"""Set in every container, so that a killed worker is noticed sooner than on AWS. The
report names it as a deviation."""

PARAMETERS = {"DefaultWorkersConcurrency": "12"}
"""Slots of one worker for the tasks of the kills and of an outage or of the limits. For
want of slots the autoscaler would order a second worker after a minute; one that a
check asks for, it drains soon. Each slot takes some 40 MiB."""
