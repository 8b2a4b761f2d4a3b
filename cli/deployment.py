"""The commands of delivery, to be added to the command line.

Each command is a few lines here; the work is in the modules beside this one. They load
boto3 and are imported only when a command runs.
"""

# ruff: noqa: PLC0415 - as said above: the help of a command loads none of that

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.errors import ExitCode, Failure, Problem, Unable, UsageError

if TYPE_CHECKING:
    from deploy.aws import Aws
    from deploy.dist import Dist, Environment

ResourceKinds = Callable[[], Mapping[str, Mapping[str, str]]]
"""What each resource is, by stack name and logical ID: real, emulated or stand-in."""

EmulatorConnection = tuple[str, Mapping[str, str], ResourceKinds]
ConnectEmulator = Callable[[str | None], EmulatorConnection]
"""Given a region or None, starts the emulator if need be; gives its endpoint, its
credentials (``aws_access_key_id``, ``aws_secret_access_key`` and ``region_name``), and
how to ask what is real in it."""

CODES = f"""\b
Exit codes
  {ExitCode.OK:<4} done
  {ExitCode.FAILED:<4} failed: the stack is not as it should be; diagnose says why
  {ExitCode.USAGE:<4} wrong use: an unknown environment, option, stack or bucket
  {ExitCode.UNABLE:<4} AWS or this machine is in the way: credentials, rights, network
  {ExitCode.UNCHANGED:<4} nothing to change
  {ExitCode.REFUSED:<4} refused: nobody agreed, or it would harm what is there
  {ExitCode.INTERRUPTED:<4} Ctrl-C; a stack operation that was started goes on
"""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True)
class ProjectContext:
    """What the commands know of the project around them."""

    dist: Path
    connect_locally: ConnectEmulator


@dataclass(frozen=True)
class Where:
    """Environment and account that one command is about."""

    name: str
    profile: str | None
    region: str | None
    stack_name: str | None
    is_local: bool
    setting: ProjectContext

    def aws(self) -> Aws:
        """Return the account, or the emulator."""
        from deploy.aws import Aws, EmulatorEndpoint

        emulator = None
        if self.is_local:
            endpoint, credentials, kinds = self.setting.connect_locally(self.region)
            emulator = EmulatorEndpoint(
                endpoint=endpoint,
                region=credentials["region_name"],
                access_key_id=credentials["aws_access_key_id"],
                secret_access_key=credentials["aws_secret_access_key"],
                kinds=kinds,
            )
        return Aws(profile=self.profile, region=self.region, emulator=emulator)

    def dist(self) -> Dist:
        """Return what was built."""
        from deploy.dist import Dist

        return Dist.read(self.setting.dist)

    def dist_if_built(self) -> Dist:
        """Return what was built, or nothing: a stack can be looked at without it."""
        from deploy.dist import Dist

        try:
            return Dist.read(self.setting.dist)
        except Unable:
            return Dist(self.setting.dist, {})

    def environment(self, dist: Dist, prefix: str = "airflow") -> Environment:
        """Return what is launched."""
        from deploy.dist import Environment, checked_stack_name

        if not dist.files:
            name = checked_stack_name(self.stack_name or f"{prefix}-{self.name}")
            return Environment(self.name, name)
        return dist.environment(self.name, self.stack_name or f"{prefix}-{self.name}")


class Paragraphs(click.Command):
    r"""Keeps the lines of a paragraph in its help that begins with ``\b``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # click marks it with a backspace, which a raw docstring cannot hold.
        self.help = (self.help or "").replace("\\b\n", "\b\n")


class DeliveryCommand(Paragraphs):
    """Turns every expected failure into a message and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command; report what stops it."""
        from deploy import console

        words = (context.params.get("environment"), *_repeated(context.params))
        with console.commands_typed_as(" ".join(map(str, words))):
            context.exit(int(self._run(context) or ExitCode.OK))

    def _run(self, context: click.Context) -> ExitCode:
        from deploy import console

        try:
            code: ExitCode = super().invoke(context)
        except Failure as failure:
            console.trouble(failure)
            return failure.exit_code
        except OSError as error:
            console.trouble(
                Failure(
                    Problem(
                        where=str(error.filename or "this machine"),
                        what=f"{error.strerror or error}.",
                        remedy="See to it, then run this again.",
                    )
                )
            )
            return ExitCode.UNABLE
        except (KeyboardInterrupt, click.Abort):
            console.say(
                "\nInterrupted. A stack operation that had started goes on: "
                "`build.py status ENV` shows it."
            )
            return ExitCode.INTERRUPTED
        return code


def commands(dist: Path, connect_locally: ConnectEmulator) -> list[click.Command]:
    """Return every command of delivery, knowing its project."""
    setting = ProjectContext(dist, connect_locally)
    for command in ALL:
        command.context_settings = {
            "obj": setting,
            "help_option_names": ["-h", "--help"],
        }
    return list(ALL)


def _repeated(parameters: Mapping[str, Any]) -> list[str]:
    """Return the options that the next command needs as well."""
    words = []
    for name in ("profile", "region", "stack_name"):
        if parameters.get(name):
            words += [f"--{name.replace('_', '-')}", str(parameters[name])]
    return [*words, *(["--local"] if parameters.get("is_local") else [])]


def _where(options: dict[str, Any]) -> Where:
    """Take what all commands have out of the options of one."""
    setting: ProjectContext = click.get_current_context().obj
    return Where(
        name=options.pop("environment"),
        profile=options.pop("profile"),
        region=options.pop("region"),
        stack_name=options.pop("stack_name"),
        is_local=options.pop("is_local"),
        setting=setting,
    )


def _on_a_stack(work: Decorated) -> Decorated:
    """Give a command ENV and the options that all of them have."""
    decorated: Any = work
    for option in reversed(
        (
            click.argument("environment", metavar="ENV"),
            click.option(
                "--profile", metavar="NAME", help="Profile of the AWS configuration."
            ),
            click.option(
                "--region", metavar="REGION", help="Region, instead of the profile's."
            ),
            click.option(
                "--stack-name",
                metavar="NAME",
                help="Name of the stack, instead of airflow-ENV.",
            ),
            click.option(
                "--local",
                "is_local",
                is_flag=True,
                help="Use the emulator on this machine; no account is needed.",
            ),
        )
    ):
        decorated = option(decorated)
    result: Decorated = decorated
    return result


BUCKET = click.option(
    "--bucket",
    metavar="NAME",
    help="Bucket to publish in; without it one is made for the account and region.",
)
YES = click.option("--yes", is_flag=True, help="Do not ask; for pipelines.")
JSON = click.option("--json", "as_json", is_flag=True, help="Give JSON.")
NO_NESTED = click.option(
    "--no-nested",
    is_flag=True,
    help="Do not let CloudFormation look into the nested stacks: templates are "
    "compared instead. Quicker, and leaves no change sets behind in them.",
)


@click.command(cls=DeliveryCommand, epilog=CODES)
@_on_a_stack
@BUCKET
@JSON
def publish(**options: Any) -> ExitCode:
    r"""Upload the templates and assets of dist/, under what they contain.

    Every file gets a key that holds its SHA-256: an address that was published never
    changes its meaning, and a file that is there already is not uploaded again.
    Children go before the templates that name them. Afterwards every address is asked
    for once more, as whoever launches; one that cannot be read is named, with who
    cannot read it.

    Without --bucket a bucket is made for the account and region: private, versioned,
    encrypted, TLS only. Both kinds must belong to the account and the region.

    \b
    Examples
      build.py publish dev
      build.py publish prod --profile prod --bucket our-templates
      build.py publish dev --json      every file with its address
    """
    where = _where(options)
    from deploy import console, publishing

    dist = where.dist()
    where.environment(dist)
    done = publishing.publish(where.aws(), dist, options["bucket"])
    files = done.publication.files
    if options["as_json"]:
        console.show(
            json.dumps(
                {
                    "Bucket": done.publication.place.bucket,
                    "Parent": done.publication.root_url,
                    "Uploaded": list(done.uploaded),
                    "Files": {file.path: file.url for file in files},
                },
                indent=2,
            )
        )
        return ExitCode.OK
    for file in files:
        mark = "uploaded" if file.path in done.uploaded else "there"
        console.show(f"{mark:<10}{file.path:<34}{file.key}")
    console.show(f"\nParent: {done.publication.root_url}")
    return ExitCode.OK


@click.command(cls=DeliveryCommand, epilog=CODES)
@_on_a_stack
@BUCKET
@NO_NESTED
@click.option("--all", "lists_all", is_flag=True, help="List what is in new stacks.")
@JSON
def plan(**options: Any) -> ExitCode:
    r"""Show what a launch would change, and change nothing.

    \b
    Publishes what is not published yet, has CloudFormation work out a change
    set with the nested stacks, shows it and deletes it again.
      - What holds data and would be replaced or deleted comes first, in red.
      - "may change" marks what depends on a value known only in the update.
      - Entries that cannot come true, because their template and all that
        reaches it stay the same, are left out and counted.

    \b
    Examples
      build.py plan prod
      build.py plan dev --local
      build.py plan prod --json | jq '.Changes[] | select(.EndangersData)'
    """
    where = _where(options)
    from deploy import changes, console, planning, publishing

    aws, dist = where.aws(), where.dist()
    environment = where.environment(dist)
    done = publishing.publish(aws, dist, options["bucket"])
    with planning.proposed(
        aws,
        dist,
        done.publication,
        environment,
        is_nested=not options["no_nested"],
    ) as found:
        if options["as_json"]:
            console.show(changes.as_json(found))
        else:
            console.plan(found, dist, lists_all=options["lists_all"])
        is_empty = found.is_empty
    return ExitCode.UNCHANGED if is_empty else ExitCode.OK


@click.command(cls=DeliveryCommand, epilog=CODES)
@_on_a_stack
@BUCKET
@NO_NESTED
@YES
@click.option(
    "--replace-data",
    is_flag=True,
    help="Agree that what holds data is replaced or deleted, as the plan shows.",
)
def launch(**options: Any) -> ExitCode:
    r"""Create the stack of an environment, or update it.

    Checks dist/, publishes it, shows the plan, asks, and follows the stack and all
    stacks in it to the end: live at a terminal, else a line for each event. When data
    would be replaced or deleted, the name of the stack has to be typed; --yes does
    not cover that, --replace-data does.

    Ctrl-C detaches: the stack goes on, and events ENV --follow watches it again. When
    it fails, the cause is shown, and what to run next. Where DeletionProtection is
    not "false", the stack is protected from deletion as well.

    Ends with 0 when there is nothing to change: what was asked for is so. (plan tells
    the difference by its exit code.)

    \b
    Examples
      build.py launch dev
      build.py launch dev --local --yes
      build.py launch prod --profile prod --region eu-central-1
    """
    where = _where(options)
    from deploy import launch

    aws, dist = where.aws(), where.dist()
    return launch.launch(
        aws,
        dist,
        where.environment(dist),
        bucket=options["bucket"],
        confirmation=launch.Confirmation(
            yes=options["yes"], replaces_data=options["replace_data"]
        ),
        is_nested=not options["no_nested"],
    )


@click.command(cls=DeliveryCommand, epilog=CODES)
@_on_a_stack
@click.option("--all", "lists_all", is_flag=True, help="List every resource.")
@JSON
def status(**options: Any) -> ExitCode:
    r"""Show a stack and the stacks in it.

    With --local every resource is listed, too, with what it is here: real, emulated,
    or a stand-in that only has a name. Ends with 1 for a stack that needs attention.

    \b
    Examples
      build.py status dev --local
      build.py status prod --all
    """
    where = _where(options)
    from deploy import status

    return status.status(
        where.aws(),
        where.environment(where.dist_if_built()),
        lists_all=options["lists_all"],
        as_json=options["as_json"],
    )


@click.command(cls=DeliveryCommand, epilog=CODES)
@_on_a_stack
@click.option(
    "--follow", "follows", is_flag=True, help="Watch what is under way to its end."
)
@click.option("--failed", "failed_only", is_flag=True, help="Only what failed.")
def events(**options: Any) -> ExitCode:
    r"""Show the last operation of a stack, with all stacks in it, in order.

    \b
    Examples
      build.py events dev
      build.py events dev --follow     what Ctrl-C detached from
      build.py events dev --failed
    """
    where = _where(options)
    from deploy import status

    dist = where.dist_if_built()
    return status.events(where.aws(), dist, where.environment(dist), **options)


@click.command(cls=DeliveryCommand, epilog=CODES)
@_on_a_stack
@JSON
def outputs(**options: Any) -> ExitCode:
    r"""Show what a stack gives: addresses, buckets, and commands for an operator.

    \b
    Examples
      build.py outputs dev
      build.py outputs dev --json | jq -r .WebUrl
    """
    where = _where(options)
    from deploy import status

    return status.outputs(
        where.aws(),
        where.environment(where.dist_if_built()),
        as_json=options["as_json"],
    )


@click.command(cls=DeliveryCommand, epilog=CODES)
@_on_a_stack
@JSON
def diagnose(**options: Any) -> ExitCode:
    r"""Say why the last operation of a stack failed, and what to run next.

    Goes from the parent down to the resource that failed first, also in nested stacks
    that a rollback has deleted, and leaves out what was only cancelled. For an ECS
    service it tells why tasks stopped, their exit codes and the end of their log; for
    the migration job its reason. Ends with 1 when it found a failure.

    \b
    Examples
      build.py diagnose dev
      build.py diagnose airflow --stack-name airflow-test
    """
    where = _where(options)
    from deploy import console, diagnosis, stacks

    aws, dist = where.aws(), where.dist_if_built()
    environment = where.environment(dist)
    stack = stacks.existing(aws, environment.stack_name)
    found = diagnosis.Diagnoser(aws, dist).diagnose(stack)
    if options["as_json"]:
        console.show(diagnosis.as_json(found))
    else:
        console.diagnosis(found)
    return ExitCode.OK if found.is_healthy else ExitCode.FAILED


@click.command(cls=DeliveryCommand, epilog=CODES)
@_on_a_stack
@click.option(
    "--skip",
    multiple=True,
    metavar="NAME",
    help="What a failed rollback is to leave as it is, as Workers/Service; once for "
    "each.",
)
@YES
def recover(**options: Any) -> ExitCode:
    r"""Lead a stack out of a state in which it takes no updates.

    \b
    Says first what will happen, and asks.
      ROLLBACK_COMPLETE        it never ran: deleted, to be launched again
      UPDATE_ROLLBACK_FAILED   the rollback goes on, without what --skip names
      UPDATE_IN_PROGRESS       cancelled and rolled back
      CREATE_IN_PROGRESS       deleted while it is being made
      REVIEW_IN_PROGRESS       the empty stack is deleted
    What CloudFormation does not interrupt is refused, with what to wait for.

    \b
    Examples
      build.py recover dev
      build.py recover prod --skip Workers/Service
    """
    where = _where(options)
    from deploy import recover

    aws, dist = where.aws(), where.dist_if_built()
    return recover.recover(
        aws, dist, where.environment(dist), skip=options["skip"], yes=options["yes"]
    )


@click.command(cls=DeliveryCommand, epilog=CODES)
@_on_a_stack
@click.option(
    "--keep-data/--delete-data",
    "keeps_data",
    default=None,
    help="What becomes of what outlives the stack: buckets, logs, keys, backups.",
)
@click.option(
    "--unprotect",
    "unprotects",
    is_flag=True,
    help="Lift the deletion protection of the stack, the database, the load balancer.",
)
@click.option(
    "--retain",
    multiple=True,
    metavar="NAME",
    help="After a deletion that failed: what of the parent to leave behind, with all "
    "that is in it; once for each.",
)
@YES
def destroy(**options: Any) -> ExitCode:
    r"""Delete an environment.

    \b
    Lists first what holds data and goes, what is kept and goes on costing, and
    what is protected or not empty; then the name of the stack has to be typed.
      --keep-data      buckets, logs, keys and backups stay in the account
      --delete-data    they are deleted as well: buckets with every version,
                       keys after 30 days. Last snapshots of database and
                       cache stay.
      --unprotect      needed, with --yes, for what is protected from deletion

    \b
    Examples
      build.py destroy dev --delete-data
      build.py destroy staging --keep-data --unprotect --yes
    """
    where = _where(options)
    from deploy import destroy

    keeps = options["keeps_data"]
    aws, dist = where.aws(), where.dist_if_built()
    return destroy.destroy(
        aws,
        dist,
        where.environment(dist),
        destroy.DestroyOptions(
            deletes_data=None if keeps is None else not keeps,
            unprotects=options["unprotects"],
            retains=options["retain"],
            yes=options["yes"],
        ),
    )


@click.command(cls=DeliveryCommand, epilog=CODES)
@_on_a_stack
@BUCKET
@click.option("--badge", "as_badge", is_flag=True, help="Give a button in Markdown.")
def link(**options: Any) -> ExitCode:
    r"""Give a link that opens the console's form, filled in for an environment.

    Who follows it must be signed in, and must be allowed to read the bucket. Refused
    unless everything that dist/ holds is published and can be read.

    \b
    Examples
      build.py link dev
      build.py link dev --badge >> README.md
    """
    where = _where(options)
    from deploy import console, publishing
    from deploy import quick_create as links

    aws, dist = where.aws(), where.dist()
    environment = where.environment(dist)
    publication = publishing.existing_publication(aws, dist, options["bucket"])
    url = links.quick_create(aws, publication, environment)
    if aws.is_local:
        console.note(
            "The link leads to the console of AWS, which cannot read the emulator."
        )
    console.show(links.badge(url, environment) if options["as_badge"] else url)
    return ExitCode.OK


@click.command(cls=DeliveryCommand, epilog=CODES)
@_on_a_stack
@BUCKET
@click.option(
    "--version",
    metavar="NAME",
    help="Name of the version, instead of one made from its digest.",
)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="How many versions can be launched; older ones are deprecated.",
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A choice of the portfolio's stack, as LauncherArn=...; once for each.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and stop.")
@YES
def catalog(**options: Any) -> ExitCode:
    r"""Offer dist/ as a product of Service Catalog, as a new version.

    Creates or updates the stack of the portfolio (airflow-catalog-ENV), so that the
    launch role may do what the templates take and read them. Then it adds a version;
    no version that is there is ever edited. ENV says which account's catalog it is,
    and lends it its tags.

    \b
    Examples
      build.py catalog prod --dry-run
      build.py catalog prod --version 2026-11 --keep 3
      build.py catalog prod --parameter 'LauncherArn=arn:aws:iam:::role/Data*'
    """
    where = _where(options)
    from deploy import catalog as catalogs

    aws, dist = where.aws(), where.dist()
    return catalogs.offer(
        aws,
        dist,
        where.environment(dist, "airflow-catalog"),
        bucket=options["bucket"],
        version=options["version"],
        keep=options["keep"],
        parameters=_choices(options["parameters"]),
        dry_run=options["dry_run"],
        yes=options["yes"],
    )


def _choices(given: tuple[str, ...]) -> dict[str, str]:
    for text in given:
        if "=" not in text:
            raise UsageError(
                Problem(
                    where=f"--parameter {text}",
                    what="It has no value.",
                    remedy="Write NAME=VALUE.",
                )
            )
    return {name: value for name, _, value in (text.partition("=") for text in given)}


ALL = (
    publish,
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
)
