"""The commands that deploy: publish, plan, launch, status, destroy and others.

Each command is a few lines here; the work is in ``deploy``, which loads boto3 and is
imported only when a command runs.
"""

# ruff: noqa: PLC0415 - as said above: the help of a command loads none of that

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import console
from cli.command import Command, assigned
from cli.errors import ExitCode, Problem, Refused, Unable, UsageError
from cli.product import ROOT

if TYPE_CHECKING:
    from deploy.aws import Aws
    from deploy.dist import Dist, Environment
    from deploy.roles import RoleStack
    from local.running_environments import RunningEnvironment

ResourceKinds = Callable[[], Mapping[str, Mapping[str, str]]]
"""Whether each resource is real, emulated or a stub, by stack and logical ID."""

EmulatorConnection = tuple[str, Mapping[str, str], ResourceKinds]
ConnectEmulator = Callable[[str | None], EmulatorConnection]
"""Starts the emulator if need be, in a region or its own; returns its endpoint, its
credentials (``aws_access_key_id``, ``aws_secret_access_key`` and ``region_name``), and
a function that says what is real in it."""

MEANINGS = {
    ExitCode.FAILED: "failed: the stack needs correcting; diagnose says why",
    ExitCode.USAGE: "wrong usage: an unknown environment, option, stack or bucket",
    ExitCode.UNABLE: "prevented by AWS or this machine: credentials, rights, network",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C); an operation that had started goes on",
}

MEANINGS_OF_READING = {
    **MEANINGS,
    ExitCode.REFUSED: "refused: the environment's file names another account or place",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
}

INTERRUPTED = (
    "Interrupted. A stack operation that had started continues: "
    "`build.py status ENV` shows it."
)


def _nothing_to_build(_environment: str) -> None:
    """Take dist/ as it is."""


def _no_target(_environment: str) -> Mapping[str, str]:
    """Return no target: options and the AWS configuration decide."""
    return {}


@dataclass(frozen=True)
class ProjectContext:
    """What the commands know of the project around them."""

    dist: Path
    connect_emulator: ConnectEmulator
    build: Callable[[str], None] = _nothing_to_build
    """Brings dist/ up to date with its sources."""
    target: Callable[[str], Mapping[str, str]] = _no_target
    """Returns what the file of an environment says in "Target"."""


@dataclass(frozen=True)
class CommandTarget:
    """Environment and account that one command is about."""

    name: str
    profile: str | None
    region: str | None
    stack_name: str | None
    emulator: bool
    project: ProjectContext
    running: bool = False

    def aws(self) -> Aws:
        """Return the account, or the emulator.

        Raises Refused when it is another one than the environment's file says.
        """
        from deploy.aws import Aws, EmulatorEndpoint

        if self.running:
            return running_environment(ROOT, self.name).aws()
        if self.emulator:
            self._note_running()
            url, credentials, kinds = self.project.connect_emulator(self.region)
            return Aws(
                emulator=EmulatorEndpoint(
                    endpoint=url,
                    region=credentials["region_name"],
                    access_key_id=credentials["aws_access_key_id"],
                    secret_access_key=credentials["aws_secret_access_key"],
                    kinds=kinds,
                )
            )
        aws = Aws(
            profile=self._agreed("Profile", "--profile", self.profile),
            region=self._agreed("Region", "--region", self.region),
        )
        account = self._target.get("Account")
        if account:
            aws.require_account(account)
        return aws

    def _note_running(self) -> None:
        """Say that the emulator does not hold the environment that ``local`` runs."""
        from local import running_environments

        if running_environments.find(ROOT, self.name):
            console.note(
                f"`local {self.name}` runs an environment of its own, which is not in "
                "this emulator. status, outputs, events and diagnose show it with "
                "--running instead of --emulator."
            )

    @functools.cached_property
    def _target(self) -> Mapping[str, str]:
        return self.project.target(self.name)

    def _agreed(self, part: str, option: str, value: str | None) -> str | None:
        """Return an option's value or that of the file; refuse where they differ."""
        stated = self._target.get(part)
        if value and stated and value != stated:
            raise Refused(
                Problem(
                    where=f"{option} {value}",
                    what=f"parameters/{self.name}.json says {part} {stated}.",
                    why="A launch in another place would create a second environment.",
                    remedy=f'Leave {option} out, or correct "Target" in the file.',
                )
            )
        return value or stated

    def stack(self, prefix: str = "airflow") -> str:
        """Return the name of the stack: of an option, of the file, or airflow-ENV."""
        name = self.stack_name
        if prefix == "airflow":
            name = self._agreed("StackName", "--stack-name", name)
        return name or f"{prefix}-{self.name}"

    def dist(self) -> Dist:
        """Return dist/, after a build if its sources have changed.

        Raises UsageError before that for an unknown environment or a wrong name.
        """
        from deploy.dist import Dist, checked_stack_name

        checked_stack_name(self.stack())
        self.project.build(self.name)
        return Dist.read(self.project.dist)

    def dist_if_built(self) -> Dist:
        """Return what was built, or nothing: a stack can be looked at without it."""
        from deploy.dist import Dist

        try:
            return Dist.read(self.project.dist)
        except Unable:
            return Dist(self.project.dist, {})

    def environment(self, dist: Dist, prefix: str = "airflow") -> Environment:
        """Return what is launched."""
        from deploy.dist import Environment, checked_stack_name

        if not dist.files:
            return Environment(self.name, checked_stack_name(self.stack(prefix)))
        return dist.environment(self.name, self.stack(prefix))


def running_environment(project: Path, name: str) -> RunningEnvironment:
    """Return the environment that ``local`` runs; raise UsageError if it does not."""
    from local import running_environments

    running = running_environments.find(project, name)
    if running is None:
        raise UsageError(
            Problem(
                where=f"{name} --running",
                what=f"No environment {name} runs on this machine.",
                remedy=f"Start it in another terminal: build.py local {name}.",
            )
        )
    return running


def commands(
    dist: Path,
    connect_emulator: ConnectEmulator,
    *,
    build: Callable[[str], None] = _nothing_to_build,
    target: Callable[[str], Mapping[str, str]] = _no_target,
) -> list[click.Command]:
    """Return every command that deploys, knowing its project."""
    project = ProjectContext(dist, connect_emulator, build, target)
    for command in ALL:
        command.context_settings = {
            "obj": project,
            "help_option_names": ["-h", "--help"],
        }
    return list(ALL)


def environment_names(
    _context: click.Context, _parameter: click.Parameter, begin: str
) -> list[str]:
    """Return the environments whose names begin so, for the shell's completion."""
    files = (ROOT / "parameters").glob("*.json")
    return sorted(file.stem for file in files if file.stem.startswith(begin))


CHANGING = ("launch", "events", "recover", "destroy", "catalog", "role", "image")
"""Commands that start or follow an operation of a stack, which goes on after Ctrl-C."""


def stack_command(
    *exit_codes: ExitCode,
    exclusive: tuple[tuple[str, str], ...] = (),
    only_reads: bool = False,
    meanings: Mapping[ExitCode, str] | None = None,
) -> Callable[[Callable[..., int]], click.Command]:
    """Make a command about the stack of ENV, with the options of all such commands.

    One that ``only_reads`` the stack has --running as well; ``meanings`` says what exit
    codes mean, where that is not the usual.
    """

    def decorate(run: Callable[..., int]) -> click.Command:
        @functools.wraps(run)
        def callback(
            environment: str,
            *,
            profile: str | None,
            region: str | None,
            stack_name: str | None,
            emulator: bool,
            running: bool = False,
            **options: Any,
        ) -> int:
            project: ProjectContext = click.get_current_context().obj
            target = CommandTarget(
                environment, profile, region, stack_name, emulator, project, running
            )
            return run(target, **options)

        decorated: Any = callback
        for option in reversed((*STACK_OPTIONS, *([RUNNING] if only_reads else []))):
            decorated = option(decorated)
        of_running = [("running", name) for name in NOT_OF_RUNNING if only_reads]
        return click.command(
            cls=Command,
            exit_codes=(*exit_codes, ExitCode.REFUSED),
            meanings={
                **(MEANINGS if run.__name__ in CHANGING else MEANINGS_OF_READING),
                **(meanings or {}),
            },
            interrupted=INTERRUPTED if run.__name__ in CHANGING else "Interrupted.",
            exclusive=(("emulator", "profile"), *of_running, *exclusive),
        )(decorated)

    return decorate


PROFILE = click.option(
    "--profile", metavar="NAME", help="Profile of the AWS configuration."
)
REGION = click.option(
    "--region", metavar="REGION", help="Region, instead of the profile's."
)
STACK_NAME = click.option(
    "--stack-name", metavar="NAME", help="Name of the stack, instead of airflow-ENV."
)

STACK_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("environment", metavar="ENV", shell_complete=environment_names),
    PROFILE,
    REGION,
    STACK_NAME,
    click.option(
        "--emulator",
        is_flag=True,
        help="Use the CloudFormation emulator on this machine instead of AWS: stacks "
        "without a running Airflow; no account is needed.",
    ),
)
RUNNING = click.option(
    "--running",
    is_flag=True,
    help="Use the environment that local ENV runs on this machine.",
)
NOT_OF_RUNNING = ("emulator", "profile", "region", "stack_name")
BUCKET = click.option(
    "--bucket",
    metavar="NAME",
    help="Bucket to publish in; without it one is created for the account and region.",
)
YES = click.option("--yes", is_flag=True, help="Do not prompt; for pipelines.")
JSON = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON document, errors too; messages are on stderr.",
)
NO_NESTED = click.option(
    "--no-nested",
    is_flag=True,
    help="Do not let CloudFormation look into the nested stacks: templates are "
    "compared instead. Quicker, and leaves no change sets behind in them.",
)


ROLE = click.option(
    "--role-arn",
    metavar="ARN",
    default="",
    help="Service role with which CloudFormation creates every resource, from "
    "build.py role; later launches use it again.",
)


TOPIC_ARN = re.compile(r"arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}")

MOST_TOPICS = 5
"""Quota of CloudFormation."""


def _topics(
    _context: click.Context, _parameter: click.Parameter, arns: tuple[str, ...]
) -> tuple[str, ...]:
    wrong = next((arn for arn in arns if not TOPIC_ARN.fullmatch(arn)), "")
    if wrong:
        raise click.BadParameter(
            f"{wrong} is no topic. Write it as arn:aws:sns:REGION:ACCOUNT:NAME."
        )
    if len(arns) > MOST_TOPICS:
        raise click.BadParameter(f"CloudFormation takes {MOST_TOPICS} topics.")
    return arns


@stack_command()
@BUCKET
@JSON
def publish(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Upload the templates and assets of dist/ to S3, under the SHA-256 of each.

    A published URL never changes its content, and a file that exists already is not
    uploaded again. Nested templates are uploaded before the templates that name them.
    Afterwards every URL is read once more with the credentials of this command; one
    that cannot be read is named, with the principal that cannot read it.

    Without --bucket a bucket is created for the account and region: private, versioned,
    encrypted, TLS only. Either bucket must belong to the account and the region.

    \b
    Examples
      ./build.py publish dev
      ./build.py publish prod --profile prod --bucket our-templates
      ./build.py publish dev --json      the URL of every file
    """
    from deploy import publishing

    dist = target.dist()
    target.environment(dist)
    published = publishing.publish(target.aws(), dist, options["bucket"])
    files = published.publication.files
    if options["as_json"]:
        console.document(
            {
                "Bucket": published.publication.location.bucket,
                "Parent": published.publication.root_url,
                "Uploaded": list(published.uploaded),
                "Files": {file.path: file.url for file in files},
            }
        )
        return ExitCode.OK
    for file in files:
        mark = "uploaded" if file.path in published.uploaded else "unchanged"
        console.result(f"{mark:<10}{file.path:<34}{file.key}")
    console.result(f"\nParent: {published.publication.root_url}")
    return ExitCode.OK


@stack_command(ExitCode.UNCHANGED)
@BUCKET
@NO_NESTED
@ROLE
@click.option("--all", "lists_all", is_flag=True, help="List what is in new stacks.")
@JSON
def plan(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Show what a launch would change, and change nothing.

    \b
    Publishes what is not published yet, creates a change set with the nested
    stacks, prints it and deletes it.
      - Resources with data that would be replaced or deleted come first, in red.
      - "may change" marks what depends on a value known only during the update.
      - Entries that cannot happen, because their template and its inputs stay
        the same, are left out and counted.
      - A change that AWS would refuse halfway is refused here, with what to do
        instead; docs/refused-changes.md lists them.

    \b
    Examples
      ./build.py plan prod
      ./build.py plan dev --emulator
      ./build.py plan prod --json | jq '.Changes[] | select(.EndangersData)'
    """
    from deploy import changes, planning, publishing, roles, stacks
    from deploy.console import print_plan
    from deploy.prefix_list import with_prefix_list
    from deploy.zones import with_zones

    aws, dist = target.aws(), target.dist()
    environment = roles.with_role(aws, target.environment(dist), options["role_arn"])
    environment = with_prefix_list(aws, dist, environment)
    published = publishing.publish(aws, dist, options["bucket"])
    stack = stacks.find(aws, environment.stack_name)
    environment = with_zones(aws, dist, environment, stack)
    with planning.proposed(
        aws,
        dist,
        published.publication,
        environment,
        is_nested=not options["no_nested"],
    ) as change_plan:
        if options["as_json"]:
            console.document(changes.as_json(change_plan))
        else:
            print_plan(change_plan, dist, lists_all=options["lists_all"])
        is_empty = change_plan.is_empty
    return ExitCode.UNCHANGED if is_empty else ExitCode.OK


@stack_command()
@ROLE
@JSON
def preflight(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Check the account and region before a launch, and change nothing.

    \b
    Asks what can be known before money is spent: permissions, service-linked
    roles, quotas, zones, versions on offer, certificate, hosted zone, image and
    what an earlier stack left. Each answer is one of these:
      pass       nothing to do
      warning    the launch goes on; the line says what to know
      refused    the launch would fail, or Airflow would not work after it
      unknown    not allowed to ask, or no answer; not counted against a launch

    launch makes the same checks first. Ends with 5 if anything is refused.

    \b
    Examples
      ./build.py preflight prod
      ./build.py preflight prod --json | jq -r '.Checks[].Verdict'
    """
    from deploy import roles
    from deploy.prefix_list import with_prefix_list
    from deploy.preflight import run
    from deploy.preflight.context import LaunchContext

    aws, dist = target.aws(), target.dist()
    environment = roles.with_role(aws, target.environment(dist), options["role_arn"])
    environment = with_prefix_list(aws, dist, environment)
    context = LaunchContext(aws, dist, environment)
    report = run.preflight(context)
    if options["as_json"]:
        console.document(run.as_json(context, report))
    else:
        run.print_report(report)
    return run.exit_code(report)


@stack_command()
@BUCKET
@NO_NESTED
@ROLE
@YES
@click.option(
    "--no-preflight",
    is_flag=True,
    help="Launch without the checks of preflight.",
)
@click.option(
    "--replace-data",
    is_flag=True,
    help="Confirm that resources with data are replaced or deleted, as the plan shows.",
)
@click.option(
    "--detach",
    "detaches",
    is_flag=True,
    help="End as soon as the operation has started; events ENV --follow follows it.",
)
@click.option(
    "--notify",
    "topic_arns",
    metavar="TOPIC_ARN",
    multiple=True,
    callback=_topics,
    help="SNS topic that gets the events of the parent stack, of this launch and of "
    "later operations; repeatable.",
)
@JSON
def launch(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Create the stack of an environment, or update it.

    Checks dist/ and the account (preflight), publishes, prints the plan, prompts for
    confirmation, creates missing service-linked roles, and follows the stack and its
    nested stacks to the end: live at a terminal, else one line for
    each event. When data would be replaced or deleted, the name of the stack has to be
    typed; --yes does not cover that, --replace-data does.

    Ctrl-C detaches: the operation continues, and events ENV --follow follows it again.
    When it fails, the cause is printed, and what to run next.

    Where DeletionProtection is "true", the first launch creates the stack without it,
    so that a failure can roll back, and switches it on by a second operation; the stack
    gets termination protection, too. The first launch also chooses the zones of a new
    VPC, and later ones keep them.

    Ends with 0 when there is nothing to change. (The exit code of plan tells the
    difference.)

    \b
    Examples
      ./build.py launch dev
      ./build.py launch dev --emulator --yes
      ./build.py launch prod --profile prod --region eu-central-1
      ./build.py launch prod --role-arn arn:aws:iam::123456789012:role/Launch
      ./build.py launch dev --yes --json | jq -r .Outputs.WebUrl
    """
    from deploy import launch, roles

    aws, dist = target.aws(), target.dist()
    environment = roles.with_role(aws, target.environment(dist), options["role_arn"])
    return launch.launch(
        aws,
        dist,
        replace(environment, topic_arns=options["topic_arns"]),
        bucket=options["bucket"],
        confirmation=launch.Confirmation(
            yes=options["yes"], replaces_data=options["replace_data"]
        ),
        is_nested=not options["no_nested"],
        detaches=options["detaches"],
        checks_first=not options["no_preflight"],
    )


@stack_command(only_reads=True)
@click.option(
    "--resources", "lists_all", is_flag=True, help="List every stack and resource."
)
@click.option(
    "--drift",
    "detects_drift",
    is_flag=True,
    help="Compare all stacks with their resources, which takes minutes.",
)
@JSON
def status(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Show whether an environment is complete, and whether Airflow runs.

    Shows the tasks of each component that run, are desired and are healthy, its last
    deployment, the alarms, and the resources that are not complete. --resources lists
    all, with --emulator also what each is here: real, emulated, or a stub that only has
    a name. --drift lists the properties that were changed without CloudFormation, and
    resources that were deleted. Ends with 1 for a stack in a failed state or with
    drift.

    \b
    Examples
      ./build.py status dev --emulator
      ./build.py status dev --running      of ./build.py local dev
      ./build.py status prod --resources
      ./build.py status prod --drift
    """
    from deploy import status

    return status.status(
        target.aws(),
        target.environment(target.dist_if_built()),
        lists_all=options["lists_all"],
        as_json=options["as_json"],
        detects_drift=options["detects_drift"],
    )


@stack_command(exclusive=(("follows", "as_json"),), only_reads=True)
@click.option(
    "--follow", "follows", is_flag=True, help="Follow a running operation to its end."
)
@click.option("--failed", "failed_only", is_flag=True, help="Only failures.")
@click.option(
    "--all", "lists_all", is_flag=True, help="Every event, not the last of a resource."
)
@JSON
def events(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Show the last operation, of all nested stacks: a line for each resource.

    A line has date, time and offset from UTC of the last event of a resource, its
    status and its name; a failure has its reason.

    \b
    Examples
      ./build.py events dev
      ./build.py events dev --follow     the operation that Ctrl-C detached from
      ./build.py events dev --failed
      ./build.py events dev --all        every event
      ./build.py events dev --json       the same, as JSON
    """
    from deploy import status

    dist = target.dist_if_built()
    return status.events(target.aws(), dist, target.environment(dist), **options)


@stack_command(only_reads=True)
@JSON
def outputs(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Show the outputs of a stack: URLs, buckets, and commands for an operator.

    \b
    Examples
      ./build.py outputs dev
      ./build.py outputs dev --running     of ./build.py local dev
      ./build.py outputs dev --json | jq -r .WebUrl
    """
    from deploy import status

    return status.outputs(
        target.aws(),
        target.environment(target.dist_if_built()),
        as_json=options["as_json"],
        url=running_environment(ROOT, target.name).url if target.running else "",
    )


@stack_command(only_reads=True)
@JSON
def diagnose(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Explain why the last operation of a stack failed, and what to run next.

    Follows the failure from the parent stack to the resource that failed first, also in
    nested stacks that a rollback has deleted, and leaves out resources that were only
    cancelled. For an ECS service it prints why tasks stopped, their exit codes and the
    end of their log; for the migration job its reason. Ends with 1 when it finds a
    failure.

    \b
    Examples
      ./build.py diagnose dev
      ./build.py diagnose airflow --stack-name airflow-test
    """
    from deploy import diagnosis, stacks
    from deploy.console import print_diagnosis

    aws, dist = target.aws(), target.dist_if_built()
    environment = target.environment(dist)
    stack = stacks.existing(aws, environment.stack_name)
    outcome = diagnosis.Diagnoser(aws, dist).diagnose(stack)
    if options["as_json"]:
        console.document(diagnosis.as_json(outcome))
    else:
        print_diagnosis(outcome)
    return ExitCode.OK if outcome.is_healthy else ExitCode.FAILED


@stack_command(ExitCode.UNCHANGED)
@click.option(
    "--skip",
    multiple=True,
    metavar="NAME",
    help="A resource that the rollback skips, as Workers/Service; repeatable.",
)
@YES
@JSON
def recover(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Recover a stack from a failed or stuck state.

    \b
    Prints what will happen, and prompts for confirmation.
      ROLLBACK_COMPLETE        it never ran: deleted, to be launched again
      UPDATE_ROLLBACK_FAILED   the rollback continues, without what --skip names
      UPDATE_IN_PROGRESS       cancelled and rolled back
      CREATE_IN_PROGRESS       deleted during its creation
      REVIEW_IN_PROGRESS       the empty stack is deleted
    Operations that CloudFormation cannot interrupt are refused.

    \b
    Examples
      ./build.py recover dev
      ./build.py recover prod --skip Workers/Service
    """
    from deploy import recover

    aws, dist = target.aws(), target.dist_if_built()
    return recover.recover(
        aws, dist, target.environment(dist), skip=options["skip"], yes=options["yes"]
    )


@stack_command(ExitCode.UNCHANGED)
@click.option(
    "--keep-data/--delete-data",
    "keeps_data",
    default=None,
    help="Keep or delete what remains after the stack: buckets, logs, keys, backups.",
)
@click.option(
    "--unprotect",
    "unprotects",
    is_flag=True,
    help="Switch off deletion protection of the stack, database and load balancer.",
)
@click.option(
    "--retain",
    multiple=True,
    metavar="NAME",
    help="After a failed deletion: a resource of the parent that stays, with all that "
    "is in it; repeatable.",
)
@YES
@JSON
def destroy(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Delete an environment.

    \b
    Lists what holds data and is deleted, what is kept and still billed, and
    what is protected or not empty; then the name of the stack has to be typed.
      --keep-data      buckets, logs, keys and backups stay in the account
      --delete-data    they are deleted as well: buckets with every version,
                       keys after 30 days. Final snapshots of database and
                       cache stay, but for those of a failed first launch.
      --unprotect      required, with --yes, for what is protected from deletion

    \b
    Examples
      ./build.py destroy dev --delete-data
      ./build.py destroy staging --keep-data --unprotect --yes
    """
    from deploy import destroy

    keeps = options["keeps_data"]
    aws, dist = target.aws(), target.dist_if_built()
    return destroy.destroy(
        aws,
        dist,
        target.environment(dist),
        destroy.DestroyOptions(
            deletes_data=None if keeps is None else not keeps,
            unprotects=options["unprotects"],
            retains=options["retain"],
            yes=options["yes"],
        ),
    )


@stack_command(exclusive=(("as_badge", "as_json"),))
@BUCKET
@click.option("--badge", "as_badge", is_flag=True, help="Print a button in Markdown.")
@JSON
def link(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Print a link that opens the CloudFormation console with the form filled in.

    A user of the link must be signed in to AWS and allowed to read the bucket. Refused
    unless everything in dist/ is published and readable.

    \b
    Examples
      ./build.py link dev
      ./build.py link dev --badge >> README.md
    """
    from deploy import publishing
    from deploy import quick_create as links

    aws, dist = target.aws(), target.dist()
    environment = target.environment(dist)
    publication = publishing.existing_publication(aws, dist, options["bucket"])
    url = links.quick_create(aws, publication, environment)
    if aws.is_local:
        console.note("The link opens the AWS console, which cannot read the emulator.")
    if options["as_json"]:
        console.document({"Url": url})
    else:
        console.result(links.badge(url, environment) if options["as_badge"] else url)
    return ExitCode.OK


@stack_command(ExitCode.UNCHANGED)
@BUCKET
@click.option(
    "--version",
    metavar="NAME",
    help="Name of the version, instead of one derived from its digest.",
)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Number of versions that can be launched; older ones are deprecated.",
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the portfolio's stack, as LauncherArn=...; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, and stop.")
@YES
@JSON
def catalog(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Add dist/ as a new version of the product in Service Catalog.

    Creates or updates the stack of the portfolio (airflow-catalog-ENV), so that the
    launch role has the permissions that the templates need. Then it adds a version; an
    existing version is never edited. The stack gets the tags of ENV.

    \b
    Examples
      ./build.py catalog prod --dry-run
      ./build.py catalog prod --version 2026-11 --keep 3
      ./build.py catalog prod --parameter 'LauncherArn=arn:aws:iam:::role/Data*'
    """
    from deploy import catalog as catalogs

    parameters = assigned("--parameter", options["parameters"])
    aws, dist = target.aws(), target.dist()
    return catalogs.offer(
        aws,
        dist,
        target.environment(dist, "airflow-catalog"),
        bucket=options["bucket"],
        version=options["version"],
        keep=options["keep"],
        parameters=parameters,
        dry_run=options["dry_run"],
        yes=options["yes"],
    )


CALLERS = click.option(
    "--caller",
    "callers",
    multiple=True,
    metavar="ARN",
    help="A role or user that may assume the role for callers; repeatable.",
)
GIT_HUB = click.option(
    "--git-hub",
    metavar="OWNER/NAME",
    default="",
    help="Repository whose GitHub Actions may assume the role for callers.",
)
BRANCH = click.option(
    "--branch", metavar="NAME", default="main", help="Its branch, instead of main."
)
OUTPUT = click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, instead of one named after the environment.",
)
DEPLOY = click.option(
    "--deploy", "deploys", is_flag=True, help="Create or update the stack."
)


@stack_command(ExitCode.UNCHANGED)
@BUCKET
@CALLERS
@GIT_HUB
@BRANCH
@OUTPUT
@DEPLOY
@YES
@JSON
def role(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Write the template of the least-privilege roles that launch an environment.

    \b
    The roles follow from the compiled templates and are for one stack name.
      ServiceRole   CloudFormation creates every resource with it (--role-arn);
                    it changes only what carries the stack's name or tag, and
                    creates roles only with the boundary in the same template
      CallerRole    publishes, plans, launches, recovers and destroys the stack,
                    and passes the service role; for --caller and --git-hub
      VerifierRole  runs `verify`, for the same callers; it alone reads the
                    administrator's login

    Prints how to deploy the template. With --deploy it is deployed, as the stack
    airflow-ENV-role, which needs the rights of an administrator. Deploy it again
    after an upgrade: the templates' resources decide about the permissions.

    \b
    Examples
      ./build.py role prod --caller arn:aws:iam::123456789012:role/Pipeline
      ./build.py role prod --git-hub example/airflow --branch release --deploy
      ./build.py role dev --deploy --emulator --yes
      ./build.py role dev --deploy --yes --json | jq -r .Outputs.ServiceRoleArn
    """
    from cli import product
    from deploy import roles

    environment = target.environment(target.dist())
    template = product.deployment_role(
        environment.stack_name, environment.parameters
    ).text()
    return write_or_deploy(
        target,
        roles.ENVIRONMENT_ROLES,
        template,
        {"Bucket": options["bucket"] or ""},
        **options,
    )


def write_or_deploy(
    target: CommandTarget,
    stack: RoleStack,
    template: str,
    parameters: Mapping[str, str],
    **options: Any,
) -> ExitCode:
    """Write the template of roles and say how to deploy it, or deploy it.

    ``parameters`` are those beside the ones of ``Callers``.
    """
    from deploy import roles

    environment = target.environment(target.dist_if_built())
    parameters = {
        "CallerArns": ",".join(options["callers"]),
        "GitHubRepository": options["git_hub"],
        "GitHubBranch": options["branch"],
        **parameters,
    }
    if options["deploys"]:
        return roles.deploy(
            target.aws(),
            stack,
            template,
            environment,
            bucket=options["bucket"],
            parameters=parameters,
            yes=options["yes"],
        )
    file = options["output"] or Path(f"{stack.file(target.name)}.template.json")
    file.write_text(template)
    console.record(File=str(file), Stack=stack.name(environment), Parameters=parameters)
    console.result(f"Wrote {file}.")
    console.result(roles.instructions(str(file), stack, environment, parameters))
    return ExitCode.OK


ALL = (
    publish,
    preflight,
    plan,
    launch,
    status,
    events,
    outputs,
    diagnose,
    recover,
    destroy,
    link,
    catalog,
    role,
)
