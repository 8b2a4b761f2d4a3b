"""Let the slots of Airflow's ``default_pool`` follow what all workers can run.

Airflow creates that pool once and never resizes it. Its description holds the number
that this job has set: as soon as the two differ, an operator has set one of them, and
both stay as they are.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from fargate_runtime.migration.databases import DatabaseError, connect, first_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from fargate_runtime.env import DatabaseLogin

AIRFLOWS_DESCRIPTION = "Default pool"
DESCRIPTION = "Default pool, with the slots of all workers: "
"""Before the number of slots."""

# One statement: a change by an operator at the same time is not lost.
RESIZE = """
UPDATE slot_pool SET slots = %s, description = %s
WHERE pool = 'default_pool'
  AND (description = %s || slots OR description = %s AND slots = %s)
RETURNING slots
"""


def resize(airflow: DatabaseLogin, slots: int, say: Callable[[str], None]) -> None:
    """Set the slots unless an operator has. Raises DatabaseError."""
    values = (
        *(slots, f"{DESCRIPTION}{slots}"),
        *(DESCRIPTION, AIRFLOWS_DESCRIPTION, slots),
    )
    try:
        connection = connect(airflow)
        try:
            is_resized = first_value(connection, RESIZE, *values) is not None
        finally:
            connection.close()
    except import_module("psycopg2").Error as reason:
        raise DatabaseError(" ".join(str(reason).split())) from reason
    if is_resized:
        say(f"Ready: default_pool with the slots of all workers, {slots}")
    else:
        say("default_pool keeps the slots or the description that an operator has set")
