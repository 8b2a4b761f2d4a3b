"""The command ``verify``: checks of an environment, on AWS or on this machine."""

# ruff: noqa: PLC0415 - the help of the command loads neither boto3 nor the checks

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import console, local
from cli.command import Command
from cli.deployment import (
    JSON,
    PROFILE,
    REGION,
    STACK_NAME,
    CommandTarget,
    ProjectContext,
    running_environment,
)
from cli.errors import ExitCode, Problem, Unable

if TYPE_CHECKING:
    from acceptance.aws.environment import AwsEnvironment
    from acceptance.suites import Selection

MEANINGS = {
    ExitCode.OK: "every check has passed or been skipped with its reason",
    ExitCode.FAILED: "failed: a check failed, or an environment with --local did not "
    "start",
    ExitCode.USAGE: "wrong usage: an unknown environment, option or stack",
    ExitCode.UNABLE: "prevented by AWS or this machine: credentials, rights, network",
    ExitCode.REFUSED: "refused: stack incomplete or of another version, or "
    "another verify runs",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C); what was made is removed",
}
INTERRUPTED = (
    "Interrupted. All processes of the environment are stopped, and what verify had "
    "made on AWS is removed."
)

PACKAGES = ("cryptography", "requests")

ONLY_LOCAL = "--no-faults, --set and --keep"
ONLY_LAUNCHED = "--profile, --region, --stack-name, --running and --relay"


def command(
    folder: Path,
    project: ProjectContext,
    *,
    check: local.CheckOverrides,
    version: Callable[[], str],
) -> click.Command:
    """Return the command of a project in a folder.

    ``version`` returns that of the checkout.
    """

    @click.command(
        cls=Command,
        exit_codes=(ExitCode.REFUSED,),
        meanings=MEANINGS,
        interrupted=INTERRUPTED,
    )
    @local.ENVIRONMENT
    @PROFILE
    @REGION
    @STACK_NAME
    @click.option(
        "--running",
        is_flag=True,
        help="Check the environment that ./build.py local ENV runs on this machine, as "
        "one on AWS is checked.",
    )
    @click.option(
        "--relay",
        is_flag=True,
        help="Send requests from a task inside the VPC even if this machine reaches "
        "the load balancer.",
    )
    @click.option(
        "--local",
        "is_local",
        is_flag=True,
        help="Start an environment on this machine, with faults.",
    )
    @click.option(
        "--no-faults", is_flag=True, help="With --local: skip the injected faults."
    )
    @click.option(
        "--no-scaling", is_flag=True, help="Skip the checks of worker scaling."
    )
    @click.option(
        "--only",
        multiple=True,
        metavar="TEXT",
        help="Run the checks whose title contains TEXT, and those that they need; "
        "repeatable.",
    )
    @local.SET
    @local.KEEP
    @JSON
    def verify(
        environment: str,
        *,
        profile: str | None,
        region: str | None,
        stack_name: str | None,
        running: bool,
        relay: bool,
        is_local: bool,
        no_faults: bool,
        no_scaling: bool,
        only: tuple[str, ...],
        assignments: tuple[str, ...],
        keep: bool,
        as_json: bool,  # noqa: ARG001 - the class of the command reads it
    ) -> ExitCode:
        r"""Check that an environment works and keeps what the templates promise.

        Reads the services, secrets, security-group rules, encryption, metrics and
        alarms of a launched stack; logs in; uploads DAGs below a prefix of their own
        and runs plain, mapped and deferred tasks; lets a pool grow by one worker.
        Where this machine does not reach the load balancer, a small task in the VPC
        sends the requests. At the end DAGs, runs, logs and the task are removed, and
        the cost is printed: some US cents.

        With --local it starts an environment on this machine, injects faults and
        scales workers under load; then everything is stopped and deleted.

        The table is printed, and written as verify-ENV.json and verify-ENV.html
        below .local/reports. --json prints the former.

        \b
        Examples
          ./build.py verify prod                   a launched environment
          ./build.py verify prod --only security --only encrypt
          ./build.py verify dev --local            start one here, with faults
          ./build.py verify prod --local --no-faults --no-scaling
          ./build.py verify dev --running --relay  what ./build.py local dev runs
        """
        if is_local:
            local.check_system()
            if profile or region or stack_name or running or relay:
                raise click.UsageError(f"{ONLY_LAUNCHED} do not go with --local.")
            options = local.options(environment, assignments, keep=keep)

            def run() -> ExitCode:
                from acceptance import suites

                selected = suites.select(
                    has_faults=not no_faults, has_scaling=not no_scaling, only=only
                )
                project.build(environment)
                check(environment, options.overrides)
                return _verify_local(folder, options, selected)

            return local.interruptible(run)
        if no_faults or assignments or keep:
            raise click.UsageError(f"{ONLY_LOCAL} need --local.")
        _check_packages()
        target = CommandTarget(
            environment, profile, region, stack_name, emulator=False, project=project
        )

        def run_launched() -> ExitCode:
            from acceptance.aws import suite

            skipped = suite.skipped(only, has_scaling=not no_scaling)
            launched = _launched(folder, target, version(), is_running=running)
            return _verify_launched(launched, by_relay=relay, skipped=skipped)

        return local.interruptible(run_launched)

    verify.context_settings = {"help_option_names": ["-h", "--help"]}
    return verify


def _check_packages() -> None:
    """Raise Unable where the packages of the checks are not installed."""
    if not all(map(find_spec, PACKAGES)):
        raise Unable(
            Problem(
                where="this machine",
                what=f"{' and '.join(PACKAGES)} are installed on Linux only.",
                remedy="Use a Linux machine, such as AWS CloudShell.",
            )
        )


def _verify_local(
    folder: Path, options: local.LocalOptions, selected: Selection
) -> ExitCode:
    from acceptance import check, report
    from acceptance.local_checks.packages import team_packages
    from deploy.dist import Dist
    from local.environment import LocalEnvironment

    shown = console.stdout()
    tell = partial(shown.print, markup=False, soft_wrap=True)
    environment = Dist.read(folder / "dist").environment(options.environment)
    running = LocalEnvironment(
        folder,
        options.environment,
        overrides={**selected.overrides(environment), **options.overrides},
        extra_environment=selected.extra_environment,
        secrets=selected.secrets,
        policies=selected.policies,
        dags=selected.dags,
        packages=team_packages(),
        outside_servers=selected.outside_servers,
        keeps=options.keeps,
        begun_at=options.begun_at,
        tell=tell,
    )
    with running:
        results, ends = selected.run(running, tell, options.begun_at)
        report.print_report(running, results, ends, shown)
        facts = {"Seconds": {**running.seconds, **ends}}
        show = partial(report.print_report, running, results, ends)
        for path in report.write(running, results, facts, show):
            tell(f"Wrote {path}.")
    return ExitCode(check.exit_code(results))


def _verify_launched(
    environment: AwsEnvironment, *, by_relay: bool, skipped: Mapping[str, str]
) -> ExitCode:
    from acceptance import report
    from acceptance.aws import suite

    shown, context = console.stdout(), copy_context()

    def tell(text: str) -> None:
        # Checks end in threads, which do not know how the command was typed.
        line = context.copy().run(console.with_arguments, text)
        shown.print(line, markup=False, soft_wrap=True)

    tell(
        f"{environment.stack.name} {environment.outputs['Version']} in "
        f"{environment.aws.region}, {environment.url}"
    )
    verification = suite.run(environment, tell, by_relay=by_relay, skipped=skipped)
    report.print_verification(environment, verification, shown)
    for path in report.write(
        environment,
        verification.results,
        report.verification_facts(environment, verification),
        partial(report.print_verification, environment, verification),
    ):
        tell(f"Wrote {path}.")
    if environment.denied:
        console.problems(
            tuple({str(p): p for d in environment.denied for p in d.problems}.values())
        )
        return ExitCode.UNABLE
    return ExitCode(verification.has_failed)


def _launched(
    folder: Path, target: CommandTarget, version: str, *, is_running: bool
) -> AwsEnvironment:
    """Return the environment of a stack on AWS, or of one that runs here."""
    from acceptance.aws.environment import launched
    from deploy.dist import checked_stack_name

    name = checked_stack_name(target.stack())
    if not is_running:
        return launched(
            target.aws(), target.name, name, project=folder, version=version
        )
    running = running_environment(folder, target.name)
    return launched(
        running.aws(),
        target.name,
        name,
        project=folder,
        version=version,
        url=running.url,
        ca_path=running.ca_path,
    )
