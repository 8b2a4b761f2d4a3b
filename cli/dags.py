"""The commands ``dags``: releases of DAGs of an environment."""

# ruff: noqa: PLC0415 - the help of a command loads neither boto3 nor the templates

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import console, dag_test, local, product
from cli.deployment import (
    BRANCH,
    BUCKET,
    CALLERS,
    DEPLOY,
    GIT_HUB,
    JSON,
    OUTPUT,
    YES,
    CommandTarget,
    ProjectContext,
    stack_command,
    write_or_deploy,
)
from cli.errors import ExitCode, Failure, Problem, UsageError

if TYPE_CHECKING:
    from deploy.aws import Aws
    from deploy.release_archive import Archive
    from deploy.releases import BundleLocation, Entry, Pointer
    from local.dag_check import DagCheck

PICK_UP = (
    "The DAG processor reads the pointer every 10 s and parses what changed; runs that "
    "have begun end with their version."
)

MEANINGS = {
    ExitCode.FAILED: "failed: a DAG needs correcting",
    ExitCode.REFUSED: "refused: the folder, or another push; nothing was changed",
}

MARKS = {"added": "+", "changed": "~", "removed": "-"}

BUNDLE = click.option(
    "--bundle",
    metavar="NAME",
    help="Bundle of releases; without it the only one of templates/airflow/bundles.py.",
)
FOLDER = click.argument(
    "folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
NO_CHECK = click.option(
    "--no-check",
    is_flag=True,
    help="Upload without parsing: for DAGs that need packages of an own image.",
)


@stack_command(ExitCode.UNCHANGED, only_reads=True, meanings=MEANINGS)
@BUNDLE
@FOLDER
@NO_CHECK
@JSON
def push(target: CommandTarget, folder: Path, **options: Any) -> ExitCode:
    r"""Release the DAGs of a folder, after Airflow has parsed them.

    \b
    Parses every file with the Airflow in .venv-airflow, which is installed on
    the first use (310 MB), and refuses, with file and line,
      - files that Airflow cannot import,
      - a DAG id in two files,
      - tasks for a queue that no worker pool serves.
    Imports that a later Airflow will not have are listed and allowed.

    The folder becomes one archive, named after its SHA-256, and a pointer is switched
    to it last: a push that is killed changes nothing, and of two pushes at once one is
    refused. Hidden files and compiled ones are left out. A run that has begun ends with
    the code that it began with.

    \b
    Examples
      ./build.py dags push dev dags/
      ./build.py dags push dev --running dags/     to ./build.py local dev
      ./build.py dags push prod --bundle team-a --profile prod dags/
    """
    from deploy import release_archive, releases

    aws, place = _place(target, options["bundle"])
    archive = release_archive.pack(folder)
    pointer = releases.read(aws, place)
    if archive.version == pointer.current:
        return _unchanged(pointer, place, as_json=options["as_json"])
    check = None if options["no_check"] else _checked(archive, folder)
    with console.progress("Uploading ..."):
        pointer = releases.push(
            aws,
            place,
            pointer,
            archive,
            commit=releases.commit_of(folder),
            is_checked=check is not None,
        )
    if options["as_json"]:
        dags = {"Dags": check.dags, "Pools": check.pools} if check else {}
        console.document(_document(pointer.history[0]) | dags)
        return ExitCode.OK
    if check:
        parsed = _counted(len(check.dags), "DAG")
        console.result(f"Parsed {parsed} in {_counted(archive.files, 'file')}.")
        if check.pools:
            console.note(f"Airflow pools that have to exist: {', '.join(check.pools)}.")
    _print_switch(place, pointer)
    return ExitCode.OK


@stack_command(only_reads=True, meanings=MEANINGS)
@BUNDLE
@JSON
def list_releases(target: CommandTarget, **options: Any) -> ExitCode:
    r"""List the releases of a bundle: who pushed what, when, from which commit.

    The newest is first; `*` marks the current one. "+" behind a commit: the folder had
    changes that were not committed.

    \b
    Examples
      ./build.py dags list prod
      ./build.py dags list prod --json | jq '.Releases[0].Commit'
    """
    from deploy import releases

    aws, place = _place(target, options["bundle"])
    pointer = releases.read(aws, place)
    if options["as_json"]:
        entries = [_document(entry) for entry in pointer.history]
        console.document({"Bundle": place.bundle, "Releases": entries})
    elif not pointer.history:
        console.result(f"Nothing was pushed to the bundle {place.bundle} yet.")
    else:
        _print_history(pointer)
    return ExitCode.OK


@stack_command(ExitCode.UNCHANGED, only_reads=True, meanings=MEANINGS)
@BUNDLE
@FOLDER
@JSON
def diff(target: CommandTarget, folder: Path, **options: Any) -> ExitCode:
    r"""Show what a push of a folder would change; change nothing.

    Each file that differs from the current release is a line, with the lines of text
    that were added and removed. Ends with 4 if nothing differs.

    \b
    Examples
      ./build.py dags diff prod dags/
    """
    from deploy import release_archive, releases

    aws, place = _place(target, options["bundle"])
    archive = release_archive.pack(folder)
    pointer = releases.read(aws, place)
    before = releases.download(aws, place, pointer.current) if pointer.current else b""
    changes = release_archive.changes(before, archive.body)
    if options["as_json"]:
        entries = [
            {
                "Path": change.path,
                "Kind": change.kind,
                "AddedLines": change.added_lines,
                "RemovedLines": change.removed_lines,
            }
            for change in changes
        ]
        console.document({"Current": pointer.current, "Changes": entries})
    else:
        for change in changes:
            path = release_archive.printable(change.path)
            counts = f"+{change.added_lines} -{change.removed_lines}"
            console.result(f"{MARKS[change.kind]} {path}  {counts}")
        current = pointer.current[: releases.SHOWN] or "nothing"
        verb = "differs" if len(changes) == 1 else "differ"
        console.result(
            f"{_counted(len(changes), 'file')} {verb} from {current} in {place.bundle}."
        )
    return ExitCode.OK if changes else ExitCode.UNCHANGED


@stack_command(only_reads=True, meanings=MEANINGS)
@BUNDLE
@click.argument("version", metavar="[VERSION]", required=False)
@JSON
def rollback(target: CommandTarget, version: str | None, **options: Any) -> ExitCode:
    r"""Make an older release current again: the one before, or VERSION.

    VERSION is the beginning of a version that `dags list` shows. The archive is in the
    bucket already, so only the pointer is switched. Without VERSION, a second rollback
    goes one release further back. Runs that have begun end with their version.

    \b
    Examples
      ./build.py dags rollback prod
      ./build.py dags rollback prod 1a2b3c4d5e6f
    """
    from deploy import releases

    aws, place = _place(target, options["bundle"])
    pointer = releases.rollback(aws, place, releases.read(aws, place), version)
    if options["as_json"]:
        console.document(_document(pointer.history[0]))
    else:
        _print_switch(place, pointer)
    return ExitCode.OK


@stack_command(ExitCode.UNCHANGED)
@BUNDLE
@BUCKET
@CALLERS
@GIT_HUB
@BRANCH
@OUTPUT
@DEPLOY
@YES
@JSON
def role(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Write the template of a role that releases the DAGs of one bundle.

    The role may read and write the objects of its bundle in the release bucket, use the
    stack's key through S3, and read the outputs of the stack; it deletes nothing. It is
    for the principals of --caller, and for GitHub Actions of --git-hub.

    Prints how to deploy the template. With --deploy it is deployed, as the stack
    airflow-ENV-dags-BUNDLE, which needs the rights of an administrator.

    \b
    Examples
      ./build.py dags role prod --git-hub example/dags --deploy
      ./build.py dags role prod --caller arn:aws:iam::123456789012:role/TeamA
    """
    from deploy import releases
    from deploy.roles import RoleStack

    bundle = _bundle(options["bundle"])
    stack = RoleStack(
        suffix=f"dags-{bundle}",
        command=f"build.py dags role ENV --bundle {bundle} --deploy",
        following="role-to-assume: {DeployerRoleArn} in examples/release-dags.yml",
    )
    return write_or_deploy(
        target,
        stack,
        product.deployer_role(target.stack(), bundle).text(),
        releases.outputs(target.aws(), target.stack()),
        **options,
    )


def group(project: ProjectContext) -> click.Group:
    """Return the commands of a project as one group."""
    commands = {
        "push": push,
        "list": list_releases,
        "diff": diff,
        "rollback": rollback,
        "role": role,
        "test": dag_test.test,
    }
    settings = {"obj": project, "help_option_names": ["-h", "--help"]}
    for name, command in commands.items():
        command.name, command.context_settings = name, settings
    return click.Group(
        "dags",
        commands=commands,
        help="Test DAGs, release them to an environment, and roll back.",
        epilog=push.epilog,
        context_settings=settings,
    )


def _place(target: CommandTarget, bundle: str | None) -> tuple[Aws, BundleLocation]:
    """Return the account, and where the releases of the bundle are."""
    from deploy import releases

    aws = target.aws()
    return aws, releases.location(aws, target.stack(), _bundle(bundle))


def _bundle(name: str | None) -> str:
    """Return the name of a bundle of releases: the only one, if none is named."""
    names = product.release_bundles()
    if name is None and len(names) == 1:
        return names[0]
    if name is None or name not in names:
        raise UsageError(
            Problem(
                where=f"--bundle {name}" if name else "--bundle",
                what=f"The bundles of releases are: {', '.join(names) or 'none'}.",
                why="templates/airflow/bundles.py lists them.",
                remedy="Name one of them, or add an entry and launch the environment.",
            )
        )
    return name


def _checked(archive: Archive, folder: Path) -> DagCheck:
    """Parse an archive; raise Failure for what has to be corrected."""
    from local import dag_check
    from local.system import unsupported_system

    if reason := unsupported_system():
        raise UsageError(
            Problem(
                where="this machine",
                what=reason,
                why="DAGs are parsed with the Airflow of the environment.",
                remedy="Push from a Linux machine, or with --no-check.",
            )
        )
    packages = local.team_packages(product.ROOT, None, folder)
    airflow = packages.install(product.ROOT, console.message)
    with console.progress("Parsing the DAGs ..."):
        check = dag_check.check(
            archive.body,
            python=airflow.python,
            modules=[*airflow.python_path(), *packages.image.module_folders()],
            runtime=product.assets()["runtime"].content,
            variables=product.parsing_settings(),
            queues=product.queues(),
        )
    for warning in check.warnings:
        console.note(f"{folder / warning.where}: {warning.what}")
    if check.problems:
        raise Failure(
            *(
                replace(problem, where=str(folder / problem.where))
                for problem in check.problems
            )
        )
    return check


def _unchanged(pointer: Pointer, place: BundleLocation, *, as_json: bool) -> ExitCode:
    from deploy.releases import SHOWN

    if as_json:
        console.document(_document(pointer.history[0]))
    else:
        console.result(
            f"{place.bundle} is at {pointer.current[:SHOWN]} already: nothing to push."
        )
    return ExitCode.UNCHANGED


def _print_switch(place: BundleLocation, pointer: Pointer) -> None:
    from deploy.releases import SHOWN

    entry, *others = pointer.history
    before = f", before {others[0].version[:SHOWN]}" if others else ""
    console.result(
        f"{place.bundle} is now at {entry.version[:SHOWN]}{before}: "
        f"{_counted(entry.files, 'file')}, {entry.size:,} bytes{_from(entry)}."
    )
    console.message(PICK_UP)


def _print_history(pointer: Pointer) -> None:
    from deploy.releases import SHOWN

    console.table(
        [
            (
                "" if number else "*",
                entry.version[:SHOWN],
                entry.action,
                entry.at.replace("T", " ").removesuffix("+00:00"),
                entry.by.rpartition(":")[2],
                _commit(entry) or "-",
                str(entry.files),
                "parsed" if entry.is_checked else "not parsed",
            )
            for number, entry in enumerate(pointer.history)
        ],
        ("", "Version", "What", "UTC", "Who", "Commit", "Files", "Check"),
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _from(entry: Entry) -> str:
    return f", from commit {_commit(entry)}" if entry.commit else ""


def _commit(entry: Entry) -> str:
    from deploy.releases import SHOWN

    return entry.commit[:SHOWN] + ("+" if entry.is_dirty else "")


def _document(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON shows it."""
    names = {
        "version": "Version",
        "action": "What",
        "at": "At",
        "by": "By",
        "commit": "Commit",
        "is_dirty": "IsDirty",
        "files": "Files",
        "size": "Bytes",
        "is_checked": "IsChecked",
    }
    values = asdict(entry)
    return {names[name]: values[name] for name in names}
