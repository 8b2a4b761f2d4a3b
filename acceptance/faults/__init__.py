"""What goes wrong, made to go wrong for real, under tasks that count themselves.

Each fault strikes while a run of ``fault_dags`` is under way. Afterwards the ledger
that its tasks wrote is held against what Airflow says: see ``ledger``.
"""

from __future__ import annotations

from acceptance.faults import bad_input, kills, launches, stores

ENVIRONMENT = {kills.HEARTBEAT_TIMEOUT: str(kills.HEARTBEAT_SECONDS)}
"""What every container of the stage is told, so that a killed worker is noticed sooner
than on AWS. The stage shows it as a deviation."""

_begun, _after = bad_input.proofs()

FAULTS = (
    _begun,
    *kills.proofs(),
    *stores.proofs(),
    *launches.proofs(),
    *_after,
)
"""In the order in which they share the stage."""
