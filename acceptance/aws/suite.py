"""The checks of a launched environment in their order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from botocore.exceptions import ClientError

from acceptance.aws import (
    components,
    encryption,
    observability,
    pool_scaling,
    security_groups,
)
from acceptance.aws.costs import Cost
from acceptance.aws.environment import AwsEnvironment
from acceptance.aws.temporary import Temporary
from acceptance.check import (
    Check,
    CheckFailed,
    CheckResult,
    CheckRunner,
    Skipped,
    Tell,
    exit_code,
)
from acceptance.checks import dags, listener, login
from acceptance.selection import OPTION, chosen
from cli.console import with_arguments
from cli.errors import Denied, Problem
from deploy.aws import DENIED

AwsCheck = Check[AwsEnvironment]

READING: tuple[tuple[str, Callable[[AwsEnvironment], str]], ...] = (
    ("Every nested stack is complete", components.stacks),
    ("Generated names carry the stack's", components.names),
    ("Every component runs and is healthy", components.services),
    ("Every container is of the stack's image", components.images),
    ("Every target of the load balancer is healthy", components.targets),
    ("Each container is given exactly its secrets", components.secrets),
    ("Security-group rules equal the table", security_groups.equal_to_table),
    ("Everything stored is encrypted", encryption.at_rest),
    ("Connections are encrypted", encryption.in_transit),
    ("Nothing is public beyond what was asked for", encryption.not_public),
    ("Deletion protection is as asked for", observability.protection),
    ("Replicas are as asked for", observability.replicas),
    ("Events and web requests are reported", observability.reporting),
    ("Scaling has its bounds and alarms", components.scaling),
    ("The autoscaler publishes every metric", observability.metrics),
    ("No alarm rings", observability.alarms),
    ("Every container writes its log", observability.container_logs),
    ("AWS Backup has made a first backup", observability.first_backup),
)
"""They only read; together they run for some seconds."""

REACHED = "The load balancer is reached"
KNOWN = "DAG files in the bucket are picked up"

LISTENER: tuple[tuple[str, Callable[[AwsEnvironment], str]], ...] = (
    ("The tasks' API is closed to the public", listener.execution_api),
    ("Login over the API", login.token),
    ("Login by the web form", login.form),
)

CANARY: tuple[tuple[str, Callable[[AwsEnvironment], str]], ...] = (
    ("Plain tasks", dags.plain),
    ("Mapped tasks", dags.mapped),
    ("A deferred task waits in the triggerer; its log is in the bucket", dags.deferred),
)

SCALING = "The default pool grows by one worker and shrinks again"
ACTED = "Alarms and step policies made it grow and shrink"
SCALING_SECONDS = 2400.0


def needs() -> dict[str, tuple[str, ...]]:
    """Return the titles of all checks, each with those of the checks that it needs."""
    return {
        **{title: () for title, _ in READING},
        REACHED: (),
        **{title: (REACHED,) for title, _ in LISTENER},
        KNOWN: (REACHED,),
        **{title: (KNOWN,) for title, _ in CANARY},
        SCALING: (KNOWN,),
        ACTED: (SCALING,),
    }


def skipped(only: Sequence[str], *, has_scaling: bool) -> dict[str, str]:
    """Return the titles of the checks that are skipped, each with the option that does.

    ``only`` are parts of titles. Raises UsageError for one that is in no title.
    """
    titles = needs()
    left_out = () if has_scaling else (SCALING, ACTED)
    allowed = {title: titles[title] for title in titles if title not in left_out}
    return {
        **dict.fromkeys(titles.keys() - chosen(allowed, only), OPTION),
        **dict.fromkeys(left_out, "--no-scaling"),
    }


@dataclass(frozen=True)
class Verification:
    """What one run of the checks has shown."""

    results: list[CheckResult]
    cost: Cost
    left: list[str]
    """What could not be removed, and how to remove it."""
    seconds: float

    @property
    def has_failed(self) -> bool:
        """Whether a check failed or something could not be removed."""
        return bool(exit_code(self.results) or self.left)


def run(
    environment: AwsEnvironment,
    tell: Tell,
    *,
    by_relay: bool,
    skipped: Mapping[str, str],
) -> Verification:
    """Run the checks; remove what they made, also after an interruption.

    ``skipped`` has the option that skips a check, by the check's title. Raises Refused
    while another ``verify`` runs. Where the credentials do not allow a read, nothing
    that would change the environment is started.
    """
    started = time.monotonic()
    temporary = Temporary(environment, tell)
    temporary.check_alone()
    runner = CheckRunner(environment, tell)
    with temporary:
        done: set[str] = set()

        def planned(
            title: str, check: Callable[[AwsEnvironment], str], *, is_alone: bool
        ) -> AwsCheck:
            by = skipped.get(title, "")
            return Check(title, check, is_alone=is_alone, skipped_by=by)

        def once(title: str, work: Callable[[], str], *, after: str = "") -> AwsCheck:
            def check(environment: AwsEnvironment) -> str:
                _raise_if_skipped(environment, after, done)
                text = _allowed(lambda _: work())(environment)
                done.add(title)
                return text

            return planned(title, check, is_alone=True)

        def afterwards(
            title: str, check: Callable[[AwsEnvironment], str], after: str
        ) -> AwsCheck:
            def checked(environment: AwsEnvironment) -> str:
                _raise_if_skipped(environment, after, done)
                return _allowed(check)(environment)

            return planned(title, checked, is_alone=False)

        runner.run(
            planned(title, _allowed(check), is_alone=False) for title, check in READING
        )
        runner.run([once(REACHED, lambda: temporary.reach(by_relay=by_relay))])
        runner.run(afterwards(title, check, REACHED) for title, check in LISTENER)
        runner.run([once(KNOWN, temporary.put_dags, after=REACHED)])
        runner.run(afterwards(title, check, KNOWN) for title, check in CANARY)
        watch = pool_scaling.Watch(environment)
        runner.run(
            replace(
                afterwards(title, check, KNOWN), is_alone=True, seconds=SCALING_SECONDS
            )
            for title, check in ((SCALING, watch.by_one), (ACTED, watch.acted))
        )
    cost = Cost(
        temporary.relay_seconds,
        temporary.relay_requests,
        watch.added_seconds,
        watch.vcpus,
        watch.gib,
    )
    results = [
        replace(result, detail=with_arguments(result.detail))
        for result in runner.results()
    ]
    return Verification(results, cost, temporary.left, time.monotonic() - started)


def _raise_if_skipped(environment: AwsEnvironment, after: str, done: set[str]) -> None:
    if environment.denied:
        raise Skipped("the credentials do not allow every read; nothing was started")
    if after and after not in done:
        raise Skipped(f"needs: {after}")


def _allowed(
    check: Callable[[AwsEnvironment], str],
) -> Callable[[AwsEnvironment], str]:
    """Return a check that notes what the credentials did not allow."""

    def checked(environment: AwsEnvironment) -> str:
        try:
            return check(environment)
        except Denied as error:
            environment.denied.append(error)
            raise CheckFailed(str(error.problems[0])) from error
        except ClientError as error:
            answer = error.response["Error"]
            if answer["Code"] not in DENIED:
                raise
            problem = Problem(
                where="AWS",
                what=f"{answer.get('Message', answer['Code'])}",
                remedy="docs/verify.md lists the actions that verify needs.",
            )
            environment.denied.append(Denied(problem))
            raise CheckFailed(str(problem)) from error

    return checked
