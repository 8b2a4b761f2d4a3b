"""What a rehearsal without faults proves, in the order of its table.

The first lines are alone because they measure. Those in the middle run together: each
waits for something else, and two cores are enough for all of them. Then a worker is
taken away, and last it is seen what all of that was allowed to do.
"""

from __future__ import annotations

from acceptance.check import Proof
from acceptance.checks import (
    connections,
    dags,
    encryption,
    health,
    login,
    passwords,
    permissions,
    secret_matrix,
    start,
    task_logs,
)

FIRST_RUN = "The first DAG run is over within 20 s"

PROOFS = (
    Proof("Every component is healthy", health.components),
    Proof(FIRST_RUN, start.first_run),
    Proof("The runtime adds at most 300 ms to a start", start.start_up_cost),
    *(
        Proof(title, prove, is_alone=False)
        for title, prove in (
            ("Fifty mapped tasks, and XComs between workers", dags.fan_out),
            ("Plain tasks", dags.plain),
            ("A deferrable sensor waits in the triggerer", dags.deferred),
            ("An asset starts the DAG that waits for it", dags.assets),
            ("A new DAG file in the bucket is picked up", dags.late),
            ("A DAG with a syntax error is told", dags.broken),
            ("Connection and variable are encrypted", encryption.at_rest),
            ("Login over the API", login.token),
            ("Login by the web form", login.form),
            ("Login in a real browser, with a finished run", login.in_browser),
            ("Flower answers behind its login", connections.flower),
            ("The tasks' API is closed to the public", connections.execution_api),
            ("Each process holds its own secrets only", secret_matrix.exact),
            ("A worker cannot enter the metadata", secret_matrix.metadata_closed),
            ("Passwords of every printable character", passwords.every_character),
        )
    ),
    Proof("Logs outlive their worker", task_logs.after_its_worker),
    Proof("The rights of every role suffice", permissions.suffice),
)
