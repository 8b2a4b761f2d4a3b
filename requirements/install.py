"""Make a virtual environment that holds exactly the pinned packages.

Run by ``make`` with whatever Python 3 there is. uv installs, for it is ten times as
quick as pip; pip installs uv, for pip comes with Python. Both verify every hash. The
stamp is written last, so that an install that failed or was interrupted is repeated.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
OLDEST_GLIBC = (2, 34)
MACHINES = {"Linux": ("x86_64", "aarch64"), "Darwin": ("arm64", "x86_64")}
STAMP = ".installed"
OWN_FILES = (STAMP, "pyvenv.cfg", "uv", "bin/uv")
"""What a virtual environment has, or the folder of uv; others are not deleted."""

UV = ROOT / ".venv-uv"
UV_PROGRAM = UV / "bin" / "uv"
UV_PINS = ROOT / "requirements" / "uv.txt"
TAIL = 15
"""Lines of output that tell why an installation failed."""

SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
}
"""pip's settings, and uv's variables for them: uv does not read pip's."""

INDEX_VARIABLES = {
    *("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "UV_FIND_LINKS",
}

PIP = "import sys, pip; sys.exit(int(pip.__version__.split('.')[0]) < 22)"
CLEAR_LINE = "\r\x1b[K"


def main() -> int:
    """Bring the environment up to date with its pins."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path, nargs="?", help="none: uv alone")
    parser.add_argument("pins", type=Path, nargs="?")
    parser.add_argument(
        "--build", action="store_true", help="build packages that have no wheel"
    )
    arguments = parser.parse_args()
    if sys.version_info < OLDEST_PYTHON:
        return fail(
            f"Python {dotted(OLDEST_PYTHON)} or newer is needed; this is "
            f"{sys.version.split()[0]}.",
            "Install one, or name it: make PYTHON=/path/to/python3.11 ...",
        )
    unsupported = unsupported_system()
    if unsupported:
        return fail(unsupported, "Use a supported system, or a container of one.")
    import fcntl  # noqa: PLC0415 - not on Windows, which has had its sentence

    with Path(__file__).open() as lock:
        # A second make waits here, and then finds everything done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            code = install(UV, UV_PINS, by_pip=True)
            if arguments.pins and not code:
                code = install(
                    arguments.environment, arguments.pins, builds=arguments.build
                )
        except KeyboardInterrupt:
            return fail("Interrupted.", "The next make takes it up again.")
    return code


def unsupported_system() -> str:
    """Return in one sentence why the packages cannot be installed here, or nothing."""
    system, machine = platform.system(), platform.machine()
    if machine not in MACHINES.get(system, ()):
        return (
            "Linux on x86_64 or aarch64, or macOS, is needed; this is "
            f"{system} on {machine}."
        )
    if system != "Linux":
        return ""
    needed = f"Linux with glibc {dotted(OLDEST_GLIBC)} or newer is needed"
    version = glibc_version()
    if not version:
        return f"{needed}; this Linux has another C library."
    if version < OLDEST_GLIBC:
        return f"{needed}; this one has {dotted(version)}."
    return ""


def glibc_version() -> tuple[int, ...]:
    """Return the version of glibc; nothing when there is another C library."""
    try:
        words = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
    except (OSError, ValueError):
        return ()
    return tuple(int(part) for part in words[1].split(".")[:2]) if words else ()


def dotted(version: tuple[int, ...]) -> str:
    """Return a version as it is written."""
    return ".".join(map(str, version))


def install(
    environment: Path, pins: Path, *, by_pip: bool = False, builds: bool = False
) -> int:
    """Install the pins into a new environment, unless they are installed."""
    stamp = environment / STAMP
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    program = (UV_PROGRAM, "--version") if by_pip else (python_of(environment), "-S")
    if stamp.exists() and stamp.read_text() == digest and succeeds(*program):
        stamp.touch()
        return 0
    obstacle = not_ours(environment)
    if obstacle:
        return fail(
            f"{environment.name} {obstacle}; nothing was installed.",
            "Move it elsewhere, and run this again.",
        )
    stamp.unlink(missing_ok=True)
    error = create(environment, by_pip=by_pip)
    if error:
        return fail(
            f"No virtual environment could be made:\n{error}",
            "On Debian and Ubuntu: apt-get install python3-venv. Else install a "
            "complete Python, and name it: make PYTHON=/path/to/python3 ...",
        )
    count = len(re.findall(r"^\S+==", pins.read_text(), re.MULTILINE))
    say(f"Installing {count} pinned packages into {environment.name}, once ...")
    started = time.monotonic()
    command, variables = (
        (pip_command(pins), pip_variables())
        if by_pip
        else (uv_command(environment, pins, builds=builds), uv_variables())
    )
    code, tail = run(command, variables)
    if code:
        return fail(
            "The pinned packages could not be installed:\n" + "".join(tail),
            "Correct the cause, most often the network or a proxy, and run make again. "
            "PIP_INDEX_URL names another package index, PIP_CERT its certificates.",
        )
    stamp.write_text(digest)
    say(f"Installed in {time.monotonic() - started:.0f} s.")
    return 0


def not_ours(environment: Path) -> str:
    """Return why an environment must not be replaced, or nothing."""
    if environment.is_symlink():
        return "is a symbolic link"
    if not environment.exists():
        return ""
    if not environment.is_dir():
        return "is not a folder"
    is_ours = any((environment / name).exists() for name in OWN_FILES)
    if is_ours or not any(environment.iterdir()):
        return ""
    return "is a folder of something else"


def create(environment: Path, *, by_pip: bool) -> str:
    """Create an empty environment; return why it could not be created, or nothing.

    A half-installed package looks like an installed one, so none is kept. Where a
    Python has pip already, uv needs a folder only, which saves four seconds.
    """
    options = ["--clear"] if by_pip else ["--clear", "--without-pip"]
    if by_pip:
        shutil.rmtree(environment, ignore_errors=True)
        if pip_python():
            environment.mkdir()
            return ""
    created = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "venv", *options, environment],
        capture_output=True,
        text=True,
        check=False,
    )
    return created.stdout + created.stderr if created.returncode else ""


def python_of(environment: Path) -> Path:
    """Return the Python of an environment."""
    return environment / "bin" / "python"


def pip_python() -> Path | None:
    """Return a Python that has pip: that of uv's folder, or the one that runs this."""
    pythons = (
        python_of(UV),
        Path(sys.executable),
        Path(sys.base_prefix, "bin/python3"),
    )
    return next((python for python in pythons if succeeds(python, "-c", PIP)), None)


def succeeds(program: Path, *arguments: str) -> bool:
    """Whether a program is there and ends well."""
    return (
        program.exists()
        and not subprocess.run(  # noqa: S603 - our own interpreter, or our own uv
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        ).returncode
    )


def pip_command(pins: Path) -> list[str]:
    """Return the command that installs uv.

    There is no wheel of uv, and so no way to build one without Rust, only where
    cloudformation-validate has none either: there is nothing to fall back to.
    """
    python = pip_python() or python_of(UV)
    return [
        *(str(python), "-m", "pip", "install", "--require-hashes", "--no-deps"),
        *(() if python == python_of(UV) else ("--target", str(UV))),
        *("--only-binary=:all:", "--disable-pip-version-check", "--no-input"),
        *("--progress-bar=off", "-r", str(pins)),
    ]


def pip_variables() -> dict[str, str]:
    """Return the variables for pip: those of uv name the index where pip's do not."""
    # Settings that forbid --target; uv's folder is the project's own.
    variables = {**inherited(), "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        if variables.get(name):
            # The index may have a name: work=https://...
            url = re.sub(r"^[\w.-]+=", "", variables[name])
            variables.setdefault("PIP_INDEX_URL", url)
    return variables


def uv_command(environment: Path, pins: Path, *, builds: bool = False) -> list[str]:
    """Return the command that installs pins with uv."""
    return [
        *(str(UV_PROGRAM), "pip", "sync", "--require-hashes"),
        *(() if builds else ("--no-build",)),
        *("--python", str(python_of(environment)), "--no-progress"),
        *(["--no-index"] if "no-index" in pip_settings() else []),
        # As pip does: any index may have the version. Hashes make that safe.
        *("--index-strategy", "unsafe-best-match", str(pins)),
    ]


def uv_variables() -> dict[str, str]:
    """Return the variables for uv: what pip is told, where uv is not told otherwise."""
    variables = inherited()
    has_index = not INDEX_VARIABLES.isdisjoint(variables)
    for name, value in pip_settings().items():
        variable = SETTINGS.get(name)
        if variable and not (has_index and variable in INDEX_VARIABLES):
            words = value.split()
            separator = "," if variable == "UV_FIND_LINKS" else " "
            variables.setdefault(variable, separator.join(words))
    if has_certificates():
        # As pip does: the authority of a company's proxy is known to the system only.
        variables.setdefault("UV_SYSTEM_CERTS", "1")
    return variables


def has_certificates() -> bool:
    """Whether the system has certificate authorities; a small container has none."""
    paths = ssl.get_default_verify_paths()
    return bool(
        platform.system() == "Darwin"
        or paths.cafile
        or (paths.capath and any(Path(paths.capath).iterdir()))
    )


def pip_settings() -> dict[str, str]:
    """Return what pip's files and variables say, by the name of the option."""
    listed = subprocess.run(  # noqa: S603 - our own interpreter
        [pip_python() or sys.executable, "-m", "pip", "config", "list"],
        env=inherited(),
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    settings: dict[str, str] = {}
    # Each source overrides those before it.
    for source in ("global", "install", ":env:"):
        for line in listed.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(f"{source}."):
                option = name[len(source) + 1 :].replace("default-timeout", "timeout")
                with contextlib.suppress(SyntaxError, ValueError):
                    settings[option] = str(ast.literal_eval(value))
    if settings.get("no-index", "").lower() in {"0", "false", "no", "off"}:
        del settings["no-index"]
    return settings


def inherited() -> dict[str, str]:
    """Return this process's variables without what brings in packages not pinned."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}


def run(command: list[str], variables: dict[str, str]) -> tuple[int, deque[str]]:
    """Run a command, shown at a terminal; return its code and its last lines."""
    tail: deque[str] = deque(maxlen=TAIL)
    is_terminal = sys.stderr.isatty()
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=variables,
    ) as process:
        for line in process.stdout or ():
            tail.append(line)
            if is_terminal:
                sys.stderr.write(f"{CLEAR_LINE}{line.strip()[:70]}")
                sys.stderr.flush()
    if is_terminal:
        sys.stderr.write(CLEAR_LINE)
    return process.returncode, tail


def say(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{text}\n")


def fail(what: str, remedy: str) -> int:
    """Report what is wrong and what to do."""
    say(f"\nerror  {what}\ndo     {remedy}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
