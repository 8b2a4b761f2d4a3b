"""The build commands as subprocesses: each mistake has its message and exit code."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import product
from cli.command import PURPOSES
from cli.errors import ExitCode
from cli.main import main
from compiler import output, pipeline
from tests.checkout import ENVIRONMENT, ROOT, Checkout

pytestmark = pytest.mark.slow

ESCAPE = "\x1b["
PATIENCE = 60
"""Seconds to wait for another process on a busy machine."""


def refused(
    checkout: Checkout, code: ExitCode, *said: str, arguments: tuple[str, ...] = ()
) -> None:
    """Expect a clear refusal that leaves dist/ and its surroundings alone."""
    before = checkout.written()
    done = checkout.run(*(arguments or ("templates",)))
    assert done.returncode == code, done.stderr
    for text in said:
        assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert checkout.written() == before
    assert leftovers(checkout) == set()


def leftovers(checkout: Checkout) -> set[str]:
    hidden = {p.name for p in checkout.root.iterdir() if p.name.startswith(".")}
    return hidden - {ENVIRONMENT, ".dist.lock"}


def test_build_writes_dist_and_prints_what_it_uses_of_each_quota(
    checkout: Checkout,
) -> None:
    done = checkout.run("templates")
    assert done.returncode == ExitCode.OK, done.stderr
    assert re.search(r"Resources +Parameters +Outputs +Bytes +SHA-256", done.stdout)
    assert re.search(r"of 500 +of 200 +of 200 +of 1,000,000", done.stdout)
    digest = output.digest((checkout.dist / "topic.template.json").read_bytes())
    assert re.search(rf"^topic +1 +1 +1 +\d+ +{digest[:12]}", done.stdout, re.MULTILINE)
    assert "6 resources in one nested operation, of 2,500" in done.stdout
    assert {
        "parent.template.json",
        "topic.template.json",
        "service-catalog.template.json",
        "assets/runtime.zip",
        "manifest.json",
        "parameters/dev/cli.json",
        "parameters/prod/git-sync.yaml",
    } <= checkout.written().keys()
    assert leftovers(checkout) == set()


def test_unchanged_rebuild_says_so_and_loads_no_compiler(built: Checkout) -> None:
    stamps = {p: p.stat().st_mtime_ns for p in built.dist.rglob("*")}
    done = built.run("templates", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "Unchanged" in done.stdout
    assert "SHA-256" in done.stdout
    assert {p: p.stat().st_mtime_ns for p in built.dist.rglob("*")} == stamps
    loaded = set(re.findall(r"\| +(\w+)", done.stderr))
    assert "click" in loaded
    assert not loaded & {"troposphere", "cfnlint", "cloudformation_validate"}


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.change("templates/topic.py", "Takes messages.", "Takes mail."),
        lambda c: c.change("parameters/prod.json", '"large"', '"small"'),
        lambda c: c.change("pyproject.toml", 'version = "', 'version = "9'),
        lambda c: (c.root / "fargate_runtime" / "more.py").write_text(""),
        lambda c: (c.dist / "topic.template.json").write_text("tampered"),
    ],
    ids=["template", "environment", "version", "runtime", "dist"],
)
def test_any_change_is_built(
    change: Callable[[Checkout], object],
    built: Checkout,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class BuildStartedError(Exception):
        pass

    def start(*_: object) -> None:
        raise BuildStartedError

    monkeypatch.setattr(pipeline, "_build", start)
    project = replace(product.project(built.dist), root=built.root)
    assert not pipeline.build(project).has_changed
    change(built)
    with pytest.raises(BuildStartedError):
        pipeline.build(project)


def test_tampered_dist_is_replaced(built: Checkout) -> None:
    before = built.written()
    (built.dist / "topic.template.json").write_text("tampered")
    done = built.run("templates")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "Wrote dist/" in done.stdout
    assert built.written() == before


def test_same_sources_give_the_same_bytes(built: Checkout) -> None:
    # The fixture has built with another seed.
    before = built.written()
    built.dist = built.root / "other"
    done = built.run("templates", "--dist", "other", PYTHONHASHSEED="1")
    assert done.returncode == ExitCode.OK, done.stderr
    assert built.written() == before


def test_wrong_connection_is_shown_with_its_line(built: Checkout) -> None:
    built.change("templates/parent.py", "display_name=inputs.owner", "displayname=1")
    refused(
        built,
        ExitCode.FAILED,
        "topic.Inputs.displayname (templates/parent.py:",
        "Did you mean display_name?",
        "dist/ is exactly as it was",
    )


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("DisplayName=", "DisplayNam=", "DisplayNam"),
        ("DisplayName=", "FifoTopic='yes', DisplayName=", "Topic.FifoTopic"),
        ("sns.Topic(", "sns.Topics(", "AttributeError"),
        ("def define(", "def define((", "SyntaxError"),
        ("class Inputs", "raise SystemExit(0)\n\n\nclass Inputs", "SystemExit"),
    ],
    ids=["unknown property", "wrong value", "unknown resource", "syntax", "exit"],
)
def test_mistake_in_a_template_is_shown_with_its_line(
    old: str, new: str, what: str, built: Checkout
) -> None:
    built.change("templates/topic.py", old, new)
    refused(built, ExitCode.FAILED, "templates/topic.py:", what)


def test_finding_of_a_linter_stops_the_build(built: Checkout) -> None:
    built.change(
        "templates/topic.py", "DisplayName=", "TopicName=Ref('Missing'), DisplayName="
    )
    refused(
        built,
        ExitCode.FAILED,
        "topic.template.json:",
        "Resources.Topic.Properties.TopicName",
        "(cfn-lint ",
        "(cloudformation-validate ",
        "templates/topic.py:",
    )


def test_template_near_a_quota_stops_the_build(built: Checkout) -> None:
    built.change("templates/topic.py", "Takes messages.", "x" * 900_001)
    refused(built, ExitCode.FAILED, "topic.template.json", "bytes of 1,000,000")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"Owner"', '"Ownr"', ("parameters/prod.json:2", "Did you mean Owner?")),
        ('"large"', '"huge"', ("parameters/prod.json:2", "huge")),
        ('"large"', '"large', ("parameters/prod.json:2",)),
        ("operations", "operations and more", ("The owner's name is long.",)),
    ],
    ids=[
        "unknown parameter",
        "unknown value",
        "malformed JSON",
        "check across parameters",
    ],
)
def test_wrong_parameter_file_stops_both_commands(
    old: str, new: str, said: tuple[str, ...], built: Checkout
) -> None:
    built.change("parameters/prod.json", old, new)
    refused(built, ExitCode.FAILED, *said)
    refused(built, ExitCode.FAILED, *said, arguments=("parameters", "prod"))
    assert built.run("parameters", "dev").returncode == ExitCode.OK


def test_unreadable_parameter_file_is_named(built: Checkout) -> None:
    (built.root / "parameters" / "prod.json").unlink()
    (built.root / "parameters" / "prod.json").mkdir()
    refused(built, ExitCode.UNABLE, "parameters/prod.json", "cannot be read")


def test_unknown_environment_of_parameters_is_a_usage_error(built: Checkout) -> None:
    refused(
        built,
        ExitCode.USAGE,
        "prd",
        "Did you mean prod?",
        arguments=("parameters", "prd"),
    )


def test_unknown_command_is_a_usage_error(built: Checkout) -> None:
    refused(built, ExitCode.USAGE, "No such command", arguments=("template",))


def test_read_only_dist_is_refused(built: Checkout) -> None:
    built.change("templates/topic.py", "Takes messages.", "Takes mail.")
    built.dist.chmod(0o555)
    refused(built, ExitCode.UNABLE, "dist/", "read-only", "chmod u+w dist")
    built.dist.chmod(0o755)


def test_folder_that_does_not_exist_is_named(built: Checkout) -> None:
    missing = str(built.root / "missing" / "dist")
    refused(
        built,
        ExitCode.UNABLE,
        str(built.root / "missing"),
        "No such file",
        arguments=("templates", "--dist", missing),
    )


def test_second_build_at_once_is_refused(built: Checkout) -> None:
    with output.exclusive(built.dist):
        refused(built, ExitCode.UNABLE, "Another build is writing it")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
@pytest.mark.parametrize(
    "moment", [".dist.staged", ".dist.staged/manifest.json"], ids=["compile", "lint"]
)
def test_interrupted_build_leaves_no_trace(
    moment: str, stop: signal.Signals, built: Checkout
) -> None:
    before = built.written()
    built.change("templates/topic.py", "Takes messages.", "Takes mail.")
    # A session of its own, so that the signal goes where Ctrl-C at a terminal goes. A
    # shell starts a command in the background with SIGINT ignored, which is inherited.
    process = subprocess.Popen(  # noqa: S603 - our own command
        built.command("templates"),
        cwd=built.root,
        env=built.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )
    wait_for(built.root / moment, process)
    os.killpg(process.pid, stop)
    stdout, stderr = process.communicate(timeout=PATIENCE)

    assert process.returncode == ExitCode.INTERRUPTED, stderr
    assert stderr.strip() == "Interrupted. dist/ is exactly as it was."
    assert stdout == ""
    assert built.written() == before
    assert leftovers(built) == set()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + PATIENCE
    while not path.exists():
        assert process.poll() is None, "the build ended too early"
        assert time.monotonic() < until, f"{path.name} never came"
        time.sleep(0.001)


def at_a_terminal(checkout: Checkout, **environment: str) -> str:
    """Return what an unchanged rebuild prints at a terminal."""
    ours, theirs = pty.openpty()
    subprocess.run(  # noqa: S603 - our own command
        checkout.command("templates"),
        cwd=checkout.root,
        env=checkout.environment(TERM="xterm-256color", **environment),
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
        check=True,
    )
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 65536):
            said += chunk
    except OSError:  # Linux reports the closed terminal this way
        pass
    os.close(ours)
    return said.decode()


def test_colours_are_for_terminals(built: Checkout) -> None:
    assert ESCAPE in at_a_terminal(built)
    piped = built.run("templates", TERM="xterm-256color").stdout
    assert "topic" in piped
    assert ESCAPE not in piped


def test_no_color_is_obeyed(built: Checkout) -> None:
    said = at_a_terminal(built, NO_COLOR="1")
    assert "topic" in said
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", said)


def test_help_lists_commands_and_examples() -> None:
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == ExitCode.OK
    for text in (*main.commands, "Examples", "exit codes", "NO_COLOR", "--version"):
        assert text in done.output


def test_help_has_every_command_once_by_purpose_in_a_whole_sentence() -> None:
    names = [name for group in PURPOSES.values() for name in group]
    assert sorted(names) == sorted(main.commands)
    listing = CliRunner().invoke(main, ["--help"]).output
    assert "..." not in listing.partition("Begin:")[2].partition("Examples")[0]


@pytest.mark.parametrize("command", sorted(main.commands))
def test_help_of_every_command_lists_its_exit_codes(command: str) -> None:
    done = CliRunner().invoke(main, [command, "--help"])
    assert done.exit_code == ExitCode.OK
    assert re.search(r"\n  Exit codes\n    0    \w", done.output)
    assert max(map(len, done.output.splitlines())) <= 80


def test_version_is_that_of_the_project() -> None:
    done = CliRunner().invoke(main, ["--version"])
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert done.output == f"build.py {version}\n"
