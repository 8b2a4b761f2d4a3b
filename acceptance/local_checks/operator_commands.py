"""What an operator runs in an environment: one Airflow command, and the logs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from acceptance.check import CheckFailed, Pending, until
from acceptance.checks.first_run import DAG_ID
from deploy import logs, one_off, stacks
from local.environment import LocalEnvironment

ARGUMENTS = ("dags", "list", "--columns", "dag_id")
BEGUN = "Starting the scheduler"
"""In the log of every scheduler."""

SINCE = timedelta(hours=1)
LOG_SECONDS = 20.0


def answered(environment: LocalEnvironment) -> str:
    """List the DAGs by a one-off task; read its log and that of the scheduler."""
    aws, began = environment.aws, datetime.now(UTC)
    output: list[str] = []
    command = one_off.find(aws, environment.stack_name)
    code = one_off.run(aws, command, one_off.arguments(ARGUMENTS), output.append)
    seconds = (datetime.now(UTC) - began).total_seconds()
    if code or not any(DAG_ID in line for line in output):
        raise CheckFailed(
            f"airflow dags list ended with {code} and printed {output[-5:]}.",
            environment.logs("command"),
        )
    stack = stacks.existing(aws, environment.stack_name)
    components = logs.components(aws, stack.id)

    def read(component: str, text: str) -> int | Pending:
        selected = logs.chosen(components, component)
        lines = list(logs.lines(aws, selected, began - SINCE))
        has_text = any(text in line.text for line in lines)
        return (
            len(lines) if has_text else Pending(f"{len(lines)} lines without {text!r}")
        )

    counts = [
        until(
            f"the log of {component}",
            partial(read, component, text),
            seconds=LOG_SECONDS,
            remedy=environment.logs(component),
        )
        for component, text in (("command", DAG_ID), ("scheduler", BEGUN))
    ]
    return (
        f"dags list ended with 0 after {seconds:.1f} s and named {DAG_ID}; "
        f"{counts[0]} lines of it and {counts[1]} of the scheduler read"
    )
