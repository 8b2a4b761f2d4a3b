"""The commands about the project itself: init, ls, doctor and completion."""

# ruff: noqa: PLC0415 - the help of a command loads neither boto3 nor the compiler

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import get_completion_class

from cli import console, own_environment, product
from cli.command import Command
from cli.deployment import JSON, PROFILE, REGION, CommandTarget, ProjectContext
from cli.errors import ExitCode, Failure, Problem, Refused, Unreachable
from local.system import unsupported_system

if TYPE_CHECKING:
    from deploy.aws import Aws

NEW_ENVIRONMENT = {"Parameters": {"Profile": "development"}, "Tags": {}}

LEAST_FREE_BYTES = 2_000_000_000
"""The environments of build.py and of the local Airflow need that much."""

PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY")


@dataclass(frozen=True, kw_only=True)
class Row:
    """The state of one environment."""

    environment: str
    stack: str
    region: str = ""
    account: str = ""
    status: str
    changed: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What doctor found about one thing."""

    name: str
    is_good: bool
    what: str
    remedy: str = ""


def commands(project: ProjectContext, group: click.Group) -> list[click.Command]:
    """Return the commands of a project; ``group`` is what completion is for."""

    @click.command(cls=Command, exit_codes=[ExitCode.REFUSED])
    @click.argument("environment", metavar="ENV")
    @click.option(
        "--like",
        metavar="NAME",
        help="Environment whose values the new one begins with.",
    )
    def init(environment: str, like: str | None) -> None:
        r"""Write the parameter file of a new environment.

        Without --like the file holds the development profile and nothing else, so every
        parameter has its default. A stack name in "Target" is not copied, because two
        environments would be one stack. An existing file is never overwritten.

        \b
        Examples
          ./build.py init dev2
          ./build.py init staging2 --like staging
        """
        _init(environment, like)

    @click.command(
        cls=Command,
        never=(ExitCode.FAILED,),
        exclusive=(("emulator", "profile"),),
    )
    @PROFILE
    @REGION
    @click.option("--emulator", is_flag=True, help="Ask the emulator instead of AWS.")
    @JSON
    def ls(*, as_json: bool, **options: Any) -> None:
        r"""List the environments of parameters/ with the state of their stacks.

        Each is looked up where "Target" in its file says, else with the usual
        configuration of AWS. An account that does not answer is shown as such.

        \b
        Examples
          ./build.py ls
          ./build.py ls --emulator
          ./build.py ls --json | jq '.[] | select(.status | endswith("FAILED"))'
        """
        rows = list(_rows(project, **options))
        if as_json:
            console.document([asdict(row) for row in rows])
            return
        console.table(
            [tuple(asdict(row).values()) for row in rows],
            ("Environment", "Stack", "Region", "Account", "Status", "Changed"),
        )

    @click.command(cls=Command)
    @PROFILE
    @REGION
    @JSON
    def doctor(profile: str | None, region: str | None, *, as_json: bool) -> ExitCode:
        r"""Check this machine: Python, packages, disk, dist/, region, credentials.

        Changes nothing. Ends with 1 when something needs correcting.

        \b
        Examples
          ./build.py doctor
          ./build.py doctor --profile prod
        """
        findings = list(_findings(profile, region))
        if as_json:
            console.document([asdict(each) for each in findings])
        else:
            for finding in findings:
                mark, style = ("ok", "green") if finding.is_good else ("no", "red")
                console.result(f"{mark:<4}{finding.name:<14}{finding.what}", style)
                if finding.remedy and not finding.is_good:
                    console.result(f"    do            {finding.remedy}")
        is_good = all(finding.is_good for finding in findings)
        return ExitCode.OK if is_good else ExitCode.FAILED

    @click.command(cls=Command, never=(ExitCode.FAILED,))
    @click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
    def completion(shell: str) -> None:
        r"""Print a script that completes commands, options and environments.

        \b
        Examples
          eval "$(./build.py completion bash)"
          ./build.py completion fish | source
        """
        shown = get_completion_class(shell)
        if shown is not None:
            script = shown(group, {}, "build.py", "_BUILD_PY_COMPLETE").source()
            click.echo(script)

    return [init, ls, doctor, completion]


def _init(environment: str, like: str | None) -> None:
    from compiler import output, parameters

    folder = output.relative(product.ROOT / "parameters")
    if not parameters.ENVIRONMENT_NAME.fullmatch(environment):
        raise click.UsageError(
            f"{environment} is no name for an environment: write letters, digits and "
            "hyphens."
        )
    document: dict[str, Any] = dict(NEW_ENVIRONMENT)
    if like is not None:
        file = parameters.find(folder, like)
        loaded = parameters.load(file)
        if loaded.problems:
            raise Failure(*loaded.problems)
        document = json.loads(file.read_text(encoding="utf-8-sig"))
        document.get("Target", {}).pop("StackName", None)
    document["Tags"] = {**document.get("Tags", {}), "environment": environment}
    path = folder / f"{environment}.json"
    try:
        with path.open("x") as new:
            new.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    except FileExistsError:
        raise Refused(
            Problem(
                where=path.as_posix(),
                what="The file exists already; it is never overwritten.",
                remedy="Choose another name, or edit it.",
            )
        ) from None
    console.result(f"Wrote {path.as_posix()}.")
    for name, what in (
        ("parameters", "checks it"),
        ("plan", "shows what a launch would create"),
    ):
        console.message(f"build.py {name} {environment}  {what}")


def _rows(
    project: ProjectContext, profile: str | None, region: str | None, *, emulator: bool
) -> Iterator[Row]:
    from compiler import output, parameters
    from deploy import stacks

    accounts: dict[tuple[str, ...], Aws] = {}
    silent: dict[tuple[str, ...], Problem] = {}
    for name in parameters.environments(output.relative(product.ROOT / "parameters")):
        target = CommandTarget(name, profile, region, None, emulator, project)
        stack = f"airflow-{name}"
        try:
            stack = target.stack()
            stated = project.target(name)
            key = tuple(stated.get(k, "") for k in ("Account", "Profile", "Region"))
            if key in silent:
                yield _unknown(name, stack, silent[key])
                continue
            if key not in accounts:
                accounts[key] = target.aws()
            aws = accounts[key]
            summary = stacks.find(aws, stack)
            yield Row(
                environment=name,
                stack=stack,
                region=aws.region,
                account=aws.account,
                status=summary.status if summary else "not launched",
                changed=f"{summary.started:%Y-%m-%d %H:%M}"
                if summary and summary.started
                else "",
            )
        except Failure as failure:
            problem = failure.problems[0]
            if isinstance(failure, Unreachable):
                silent[key] = problem
            yield _unknown(name, stack, problem)


def _unknown(environment: str, stack: str, problem: Problem) -> Row:
    return Row(
        environment=environment,
        stack=stack,
        status=f"unknown: {problem.where}: {problem.what}",
    )


def _findings(profile: str | None, region: str | None) -> Iterator[Finding]:
    yield Finding(name="build.py", is_good=True, what=product.version())
    yield Finding(
        name="Python",
        is_good=True,
        what=f"{platform.python_version()} in {own_environment.name()}",
    )
    reason = unsupported_system()
    yield Finding(
        name="system",
        is_good=not reason,
        what=reason or f"{platform.system()} on {platform.machine()}",
        remedy="build.py local needs a supported system; the other commands do not.",
    )
    free = shutil.disk_usage(product.ROOT).free
    yield Finding(
        name="disk",
        is_good=free > LEAST_FREE_BYTES,
        what=f"{free / 1e9:.1f} GB free",
        remedy=f"Free {LEAST_FREE_BYTES / 1e9:.0f} GB: environments and state need it.",
    )
    proxies = [f"{name}={os.environ[name]}" for name in PROXIES if name in os.environ]
    yield Finding(name="proxy", is_good=True, what=" ".join(proxies) or "none")
    yield _checked("dist/", _dist)
    yield _checked("emulator", _emulator)
    yield _checked("region", lambda: _aws(profile, region).region)
    yield _checked("credentials", lambda: _principal(profile, region))


def _checked(name: str, find: Callable[[], str]) -> Finding:
    try:
        return Finding(name=name, is_good=True, what=find())
    except Failure as failure:
        problem = failure.problems[0]
        return Finding(
            name=name,
            is_good=False,
            what=f"{problem.where}: {problem.what}",
            remedy=problem.remedy,
        )


def _dist() -> str:
    from compiler import output, parameters

    project = product.project()
    if problems := parameters.misnamed(output.relative(project.parameters)):
        raise Failure(*problems)
    if output.is_made_from(project.dist, project.digest()):
        return "up to date with its sources"
    return "older than its sources; the next launch builds it"


def _emulator() -> str:
    from local.emulator.process import EmulatorProcess

    record = EmulatorProcess(product.ROOT).running()
    return f"listens at {record.endpoint_url}" if record else "does not run"


def _aws(profile: str | None, region: str | None) -> Aws:
    from deploy.aws import Aws

    return Aws(profile=profile, region=region)


def _principal(profile: str | None, region: str | None) -> str:
    aws = _aws(profile, region)
    return f"{aws.principal} in account {aws.account}"
