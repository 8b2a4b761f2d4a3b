"""Inputs that were once answered badly, and what each must answer.

``python -m tests.listed_inputs`` runs every row in a checkout of its own and prints
what it answers now; ``tests/cli/test_listed_inputs.py`` expects it. A row stands for a
kind of fault; its root has tests of its own beside the code.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from local import processes
from local.emulator import venv
from tests.checkout import ENVIRONMENT, ROOT, Checkout

SECONDS = 60
"""No row may take longer on a busy machine."""

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@dataclass(frozen=True)
class Row:
    """An input as a shell script; ``$B`` is build.py, ``$PAGE`` a login page."""

    kind: str
    script: str
    codes: tuple[int, ...]
    says: str
    """A pattern that the output has."""
    never: str = "Traceback"

    @property
    def builds(self) -> bool:
        """Whether it is about the build: dist/ is not there yet. Else it is up to date,
        for a build costs more than what most rows are about."""
        return "templates" in self.script or "dist" in self.script


@dataclass(frozen=True)
class Answer:
    """What a row answered."""

    code: int
    text: str
    seconds: float

    def faults(self, row: Row) -> list[str]:
        """Return how the answer differs from what the row expects."""
        return [
            *([] if self.code in row.codes else [f"exit {self.code}"]),
            *([] if re.search(row.says, self.text) else [f"does not say {row.says}"]),
            *([f"says {row.never}"] if re.search(row.never, self.text) else []),
        ]


def emulated(words: str) -> str:
    """Return a command for the emulator."""
    return f"$B {words} --emulator"


ROWS = (
    # Nothing of another owner is lost.
    Row(
        "data lost",
        'mkdir site; echo \'{"name":"x"}\' >site/manifest.json; echo x >site/a.txt;'
        " $B templates --dist site; code=$?; cat site/a.txt && exit $code",
        (3,),
        "not a folder that a build made",
    ),
    Row(
        "data lost",
        "mkdir site; echo {} >site/x.template.json; $B templates --dist site;"
        " code=$?; cat site/x.template.json && exit $code",
        (3,),
        "not a folder that a build made",
    ),
    Row(
        "data lost",
        "$B templates >/dev/null; echo x >dist/notes; echo >>templates/topic.py;"
        " $B templates; code=$?; cat dist/notes && exit $code",
        (3,),
        "no build wrote: notes",
    ),
    Row(
        "data lost", "$B destroy dev --keep-data --delete-data", (2,), "more than once"
    ),
    Row("data lost", "$MAKE destroy prod", (2,), "ENV=prod"),
    Row("data lost", "$MAKE destroy env=prod", (2,), "make takes no env="),
    Row("data lost", "$MAKE destroy", (2,), "needs an environment"),
    Row("data lost", "$MAKE launch prod ENV=dev", (2,), "no target prod"),
    # Never the wrong target.
    Row(
        "wrong target",
        "AWS_REGION=mars-1 AWS_DEFAULT_REGION=us-east-1 $B status dev",
        (2,),
        "Region mars-1",
    ),
    Row("wrong target", "$B status dev", (3,), "No region is set"),
    Row("wrong target", "$B plan dev --stack-name ''", (2,), "--stack-name is empty"),
    Row("wrong target", "$B publish dev --bucket ' '", (2,), "--bucket is empty"),
    Row("wrong target", "$B catalog dev --version=", (2,), "--version is empty"),
    Row("wrong target", "AWS_PROFILE= $B status dev", (2,), "AWS_PROFILE"),
    Row(
        "wrong target",
        'echo \'{"Parameters": {"Owner": "x"}, "Target": {"Region": "eu-west-1"}}\''
        " >parameters/dev.json; $B status dev --region us-east-1",
        (5,),
        "says Region eu-west-1",
    ),
    Row(
        "wrong target",
        "PYTHONPATH=$PWD/other; mkdir other; echo 'import nothing' >other/rich.py;"
        " export PYTHONPATH; $B parameters dev",
        (0,),
        "can be launched",
    ),
    Row(
        "wrong target",
        "$B templates >/dev/null; sed -i s/team/other/ parameters/dev.json;"
        f" {emulated('plan dev')}; grep -c other dist/parameters/dev/cli.json",
        (0,),
        "Would create",
    ),
    Row(
        "wrong target",
        "$B templates >/dev/null; rm parameters/dev.json; " + emulated("launch dev"),
        (2,),
        "There is no environment",
    ),
    *(
        Row(
            "emulator alone", f"{setting} {emulated('status dev')}", (2,), "no stack of"
        )
        for setting in (
            "HTTP_PROXY=http://127.0.0.1:9 http_proxy=http://127.0.0.1:9",
            "AWS_PROFILE=nosuch",
            "AWS_CONFIG_FILE=README.md",
            "AWS_CA_BUNDLE=",
            "AWS_ENDPOINT_URL=127.0.0.1:9",
        )
    ),
    # Never a hang, never a traceback.
    *(
        Row(
            "login page",
            f"AWS_ENDPOINT_URL=$PAGE $B {words} --region us-east-1",
            (3,),
            "Not AWS has answered",
        )
        for words in (
            *("publish dev", "plan dev", "launch dev", "status dev", "events dev"),
            *("outputs dev", "diagnose dev", "recover dev", "destroy dev", "link dev"),
            "catalog dev",
        )
    ),
    Row(
        "settings",
        "AWS_CONFIG_FILE=build.py $B status dev",
        (3,),
        "Unable to parse.*build",
    ),
    Row(
        "settings",
        "AWS_ENDPOINT_URL=127.0.0.1:9 $B status dev --region us-east-1",
        (3,),
        "Correct AWS_ENDPOINT_URL",
    ),
    Row(
        "settings",
        "AWS_CA_BUNDLE=/none $B status dev --region us-east-1",
        (3,),
        "/none",
    ),
    *(
        Row(
            "unreachable",
            f"AWS_ENDPOINT_URL=http://127.0.0.1:9 $B {words} --region us-east-1",
            (3,),
            "Trying again, attempt 3 of 3",
        )
        for words in ("publish dev", "plan dev", "events dev", "diagnose dev")
    ),
    *(
        Row("region", f"$B {words}", (2,), "no region of that name")
        for words in (
            "status dev --region US-EAST-1",
            "publish dev --region us-east-1a",
            "launch dev --region mars-1",
        )
    ),
    Row("streams", "$B parameters dev >&-", (0,), ""),
    Row("streams", "$B parameters dev 2>&-", (0,), "can be launched"),
    Row("streams", "$B parameters dev >/dev/full", (3,), "cannot be written"),
    Row("streams", "$B templates >/dev/full", (3,), "cannot be written", "exactly as"),
    Row(
        "streams",
        f"set -o pipefail; {emulated('launch dev --yes')} | head -1",
        (0,),
        "is CREATE_COMPLETE",
    ),
    Row("streams", "$B status dev --emulator 2>&- >&-", (2,), ""),
    Row("streams", emulated("launch dev --yes") + " 2>&-", (0,), "TopicArn"),
    Row(
        "streams",
        f"set -o pipefail; {emulated('launch dev --yes')} >/dev/null;"
        f" {emulated('events dev')} | head -1",
        (0,),
        "IN_PROGRESS",
    ),
    Row(
        "surroundings",
        'mkdir x; b="$PWD/build.py"; p="$PWD/.venv-dev/bin/python"; cd x; rmdir ../x;'
        ' "$p" "$b" parameters dev',
        (3,),
        "folder of this shell",
    ),
    Row("dist/", "ln -s dist dist; $B templates", (3,), "link to itself"),
    Row("dist/", "$B templates --dist /", (3,), "root of the file system"),
    Row(
        "two at once",
        "$B templates --dist a >a.txt & $B templates --dist b; code=$?; wait $!"
        " && exit $code",
        (0,),
        "Wrote b/",
    ),
    *(
        Row(
            "emulator record",
            emulated("status dev") + ";"
            f" echo '{record}' >.local/emulator/process.json; {emulated('status dev')}",
            (2,),
            "no stack of that name",
        )
        for record in (
            '{"pid": "1", "started": "1", "port": 1}',
            '{"pid": null, "started": "1", "port": 1}',
            "[]",
        )
    ),
    # Right answers.
    *(
        Row(
            "name",
            f'echo \'{{"Parameters": {{"Owner": "x"}}}}\' >\'parameters/{name}.json\';'
            f" $B parameters dev && $B templates",
            (1,),
            "is no name for an environment",
        )
        for name in ("my_env", "eu.west", "x" * 133, "Prüf")
    ),
    Row(
        "name",
        "echo >parameters/my_env.json; " + emulated("launch dev --yes"),
        (0,),
        "is CREATE_COMPLETE",
    ),
    Row(
        "tags",
        f"cd $ROOT && {sys.executable} - <<'END'\n"
        "from compiler.tags import MAX_TAGS\nprint('most', MAX_TAGS)\nEND",
        (0,),
        "most 49",
    ),
    Row(
        "file",
        'printf \'{\\r"Parameters": {\\r"Owner": x}}\' >parameters/zz.json;'
        " $B parameters zz",
        (1,),
        "zz.json:3",
    ),
    Row("words", "$B parameters dev --no-color", (0,), "can be launched"),
    Row("words", "$B deploy dev", (2,), "called launch"),
    Row("words", "$B --version", (0,), r"build.py \d"),
    Row("words", "./build.py --version", (0,), r"build.py \d"),
    Row("words", "$B local dev --set =1", (2,), "NAME=VALUE"),
    Row("words", "$B local dev --set Size=huge", (1,), "--set Size"),
    Row("words", "$B local dev --set Siz=small", (1,), "Did you mean Size"),
    Row("words", "$B catalog dev --emulator --parameter =x", (2,), "NAME=VALUE"),
    Row("make", "$MAKE parameters ENV=dev", (0,), "can be launched"),
    Row("make", "$MAKE emulator ARGS=stop", (0,), "."),
    Row(
        "make",
        f"{emulated('launch dev --yes')}; $MAKE plan ENV=dev ARGS=--emulator",
        (0,),
        "Nothing to change",
        "Error 4",
    ),
    Row(
        "destroy",
        f"{emulated('launch dev --yes')}; "
        + emulated("destroy dev --delete-data --unprotect --yes")
        + "; "
        + emulated("destroy dev --yes"),
        (4,),
        "There is no stack",
    ),
)


class LoginPage(BaseHTTPRequestHandler):
    """The page of a network that asks for a login, with status 200."""

    def answer(self) -> None:
        """Answer any request with a page."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b"<html><body>Please log in</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_HEAD = answer  # noqa: N815 - http.server's names

    def log_message(self, *_arguments: object) -> None:
        """Write no log."""


@contextmanager
def login_page() -> Iterator[str]:
    """Give the address of a server that answers everything with a login page."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), LoginPage)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@functools.cache
def _built() -> tempfile.TemporaryDirectory[str]:
    """Return the folder of a checkout whose dist/ is up to date."""
    folder = tempfile.TemporaryDirectory(prefix="built-")
    done = Checkout(Path(folder.name)).run("templates")
    if done.returncode:
        raise RuntimeError(done.stderr)
    return folder


def prepared(root: Path, row: Row) -> Checkout:
    """Return a checkout for a row, in which make, build.py and the emulator run."""
    venv.python(ROOT, lambda _text: None)
    checkout = Checkout(root)
    if not row.builds:
        shutil.copytree(Path(_built().name) / "dist", checkout.dist)
    (root / "Makefile").write_text((ROOT / "Makefile").read_text())
    for name in (".venv-emulator", ".venv-uv"):
        (root / name).symlink_to(ROOT / name)
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    # Not a link: the developers' environment runs, whatever starts.
    python.write_text(f'#!/bin/sh\nexec {root / ENVIRONMENT}/bin/python "$@"\n')
    python.chmod(0o755)
    return checkout


def answer(row: Row, checkout: Checkout, page: str) -> Answer:
    """Run a row, and end what it left running, whatever its records say."""
    own = checkout.root / ENVIRONMENT / "bin"
    variables = checkout.environment(
        **CREDENTIALS,
        B=f"{own}/python build.py",
        MAKE="make --no-print-directory -o .venv/.installed",
        PAGE=page,
        ROOT=str(ROOT),
    )
    variables["PATH"] = f"{own}:{variables['PATH']}"
    begun = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603 - the scripts of the table
            ["/bin/bash", "-c", row.script],
            cwd=checkout.root,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        code, text = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        code, text = -1, f"no end after {SECONDS} s"
    seconds = time.monotonic() - begun
    for folder in Path("/proc").glob("[0-9]*"):
        if str(checkout.root) in processes.command(int(folder.name)):
            with suppress(ProcessLookupError):
                os.kill(int(folder.name), signal.SIGKILL)
    return Answer(code, text, seconds)


def main() -> int:
    """Print what every row answers now; return how many answer badly."""
    bad = 0
    with login_page() as page:
        for row in ROWS:
            with tempfile.TemporaryDirectory() as folder:
                said = answer(row, prepared(Path(folder), row), page)
            faults = said.faults(row)
            bad += bool(faults)
            last = next(iter(re.findall(row.says + ".*", said.text)), "")
            mark = "; ".join(faults) or f"exit {said.code}  {last[:90]}"
            script = " ".join(row.script.split())
            print(f"{'BAD ' if faults else ''}{row.kind} | {script} | {mark}")  # noqa: T201 - a table to read
    print(f"{len(ROWS)} inputs, {bad} answered badly")  # noqa: T201 - as above
    return min(bad, os.EX_USAGE)


if __name__ == "__main__":
    sys.exit(main())
