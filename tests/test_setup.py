"""A new machine sets itself up: the Makefile, the installer, and their messages."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import html
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cli.main import main
from requirements import install, lock
from tests.checkout import Checkout

ROOT = Path(__file__).parents[1]

PACKAGE = "pinnedexample"
SHOWN = "Installing 1 pinned packages into venv, once ..."


def wheel(folder: Path, *, python: str = ">=3.11") -> str:
    """Write a package, and the page of an index that lists it; return its pin."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{PACKAGE}-1.0-py3-none-any.whl"
    about = f"{PACKAGE}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n"
    kind = (
        "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any"
    )
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{PACKAGE}.py", "")
        archive.writestr(f"{about}/METADATA", f"{metadata}Requires-Python: {python}\n")
        archive.writestr(f"{about}/WHEEL", f"{kind}\n")
        archive.writestr(f"{about}/RECORD", f"{PACKAGE}.py,,\n{about}/RECORD,,\n")
    (folder / "index.html").write_text(
        f'<a href="{file.name}" data-requires-python="{html.escape(python)}">'
        f"{file.name}</a>"
    )
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return f"{PACKAGE}==1.0 \\\n    --hash=sha256:{digest}\n"


class Project:
    """The installer in a folder of its own, with the uv of this checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.packages = root / "packages"
        self.environment = root / "venv"
        self.stamp = self.environment / ".installed"
        self.pins = root / "pins.txt"
        (root / "requirements").mkdir()
        for name in ("install.py", "uv.txt"):
            shutil.copy(ROOT / "requirements" / name, root / "requirements")
        (root / ".venv-uv").symlink_to(ROOT / ".venv-uv")

    @property
    def command(self) -> list[str]:
        installer = self.root / "requirements" / "install.py"
        return [sys.executable, *map(str, (installer, self.environment, self.pins))]

    def variables(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PIP_CONFIG_FILE": os.devnull,
            "UV_CACHE_DIR": str(self.root / "cache"),
            **(more or {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.packages)}),
        }

    def install(self, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own script
            self.command,
            env=self.variables(variables),
            capture_output=True,
            text=True,
            check=False,
        )

    def begin(self, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - our own script
            self.command,
            env=self.variables(variables),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell starts a command in the background with SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
        )

    @property
    def has_package(self) -> bool:
        return bool(list(self.environment.glob(f"lib/*/site-packages/{PACKAGE}.py")))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def index(project: Project) -> Iterator[str]:
    """Give the address of a package index that has the package."""
    project.pins.write_text(wheel(project.root / "index" / "simple" / PACKAGE))
    handler = partial(SimpleHTTPRequestHandler, directory=str(project.root / "index"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()
        serving.join()


@pytest.fixture
def silent_index() -> Iterator[str]:
    """Give the address of a package index that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"


@pytest.mark.slow
def test_failed_install_leaves_no_stamp_and_is_taken_up_again(project: Project) -> None:
    # A stamp beside half an install sends every later command into a missing module.
    pin = wheel(project.packages)
    project.pins.write_text(pin.replace("1.0", "2.0"))
    failed = project.install()
    assert failed.returncode == 1
    assert "The pinned packages could not be installed" in failed.stderr
    assert f"{PACKAGE}==2.0" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not project.stamp.exists()

    project.pins.write_text(pin)
    done = project.install()
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == SHOWN
    assert project.has_package
    assert project.stamp.exists()

    again = project.install()
    assert (again.returncode, again.stderr) == (0, "")

    # What another pin file has left is gone.
    (project.environment / "left-behind").touch()
    project.pins.write_text(f"# changed\n{pin}")
    assert project.install().returncode == 0
    assert not (project.environment / "left-behind").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_is_no_environment_is_not_replaced(kind: str, project: Project) -> None:
    project.pins.write_text(wheel(project.packages))
    folder = project.root / "folder"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    if kind == "file":
        project.environment.write_text("mine")
    elif kind == "link":
        project.environment.symlink_to(folder)
    else:
        folder.rename(project.environment)
    done = project.install()
    assert done.returncode == 1
    assert "nothing was installed" in done.stderr
    assert "Traceback" not in done.stderr
    assert kind == "file" or (project.environment / "thesis.txt").exists()


def test_package_of_another_hash_is_refused(project: Project) -> None:
    pin = wheel(project.packages)
    project.pins.write_text(re.sub("sha256:.*", f"sha256:{'0' * 64}", pin))
    failed = project.install()
    assert failed.returncode == 1
    assert "hash" in failed.stderr.lower()
    assert not project.stamp.exists()
    assert not project.has_package


def test_interrupted_install_leaves_no_stamp(
    project: Project, silent_index: str
) -> None:
    project.pins.write_text(wheel(project.packages))
    with project.begin(PIP_INDEX_URL=silent_index) as running:
        assert running.stderr
        assert running.stderr.readline().strip() == SHOWN
        os.killpg(running.pid, signal.SIGINT)
        text = running.stderr.read()
    assert running.returncode == 1
    assert "error  Interrupted." in text
    assert "Traceback" not in text
    assert not project.stamp.exists()


@pytest.mark.slow
def test_second_make_waits_for_the_first(project: Project) -> None:
    project.pins.write_text(wheel(project.packages))
    with (project.root / "requirements" / "install.py").open() as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        with project.begin() as second:
            time.sleep(0.5)
            assert second.poll() is None
            assert not project.environment.exists()
            fcntl.flock(first, fcntl.LOCK_UN)
            second.communicate()
    assert second.returncode == 0
    assert project.stamp.exists()


@pytest.mark.slow
@pytest.mark.parametrize("has_pip", [True, False])
def test_uv_is_installed_with_and_without_a_pip(
    *, has_pip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Debian's Python may have venv and no pip.
    monkeypatch.setattr(install, "UV", tmp_path / "uv")
    monkeypatch.setattr(install, "UV_PROGRAM", tmp_path / "uv" / "bin" / "uv")
    if not has_pip:
        own = install.python_of(install.UV)
        real = install.succeeds
        monkeypatch.setattr(
            install,
            "succeeds",
            lambda program, *words: (
                (install.PIP not in words or program == own) and real(program, *words)
            ),
        )
    assert install.install(install.UV, install.UV_PINS, by_pip=True) == 0
    assert install.succeeds(install.UV_PROGRAM, "--version")
    assert install.python_of(install.UV).exists() != has_pip


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "pip.conf"]
)
def test_index_of_pip_and_of_uv_is_used(
    name: str, index: str, silent_index: str, project: Project
) -> None:
    if name == "pip.conf":
        file = project.root / name
        file.write_text(f"[global]\nindex-url = {index}\n")
        done = project.install(PIP_CONFIG_FILE=str(file))
    elif name == "PIP_EXTRA_INDEX_URL":
        empty = index.replace("/simple", "/empty")
        done = project.install(PIP_INDEX_URL=empty, PIP_EXTRA_INDEX_URL=index)
    elif name == "UV_DEFAULT_INDEX":
        done = project.install(PIP_INDEX_URL=silent_index, UV_DEFAULT_INDEX=index)
    else:
        done = project.install(**{name: index})
    assert done.returncode == 0, done.stderr
    assert project.has_package


@pytest.mark.slow
def test_settings_of_pip_become_those_of_uv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*install.SETTINGS.values(), *install.INDEX_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\ncert = /ca.pem\ntimeout = 7\nindex-url = https://one/simple\n"
        "trusted-host =\n    one\n    two\n"
        "[install]\nfind-links = /wheels /more\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.setenv("PIP_INDEX_URL", "https://two/simple")
    variables = install.uv_variables()
    assert variables["SSL_CERT_FILE"] == "/ca.pem"
    assert variables["UV_HTTP_TIMEOUT"] == "7"
    assert variables["UV_DEFAULT_INDEX"] == "https://two/simple"
    assert variables["UV_INSECURE_HOST"] == "one two"
    assert variables["UV_FIND_LINKS"] == "/wheels,/more"
    assert "--no-index" not in install.uv_command(Path("venv"), Path("pins"))

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert "--no-index" in install.uv_command(Path("venv"), Path("pins"))

    # Where uv has an index of its own, pip's are not added to it.
    monkeypatch.setenv("UV_INDEX_URL", "https://three/simple")
    variables = install.uv_variables()
    assert "UV_DEFAULT_INDEX" not in variables
    assert "UV_FIND_LINKS" not in variables
    monkeypatch.delenv("PIP_INDEX_URL")
    assert install.pip_variables()["PIP_INDEX_URL"] == "https://three/simple"


def test_old_python_is_named_in_one_sentence(tmp_path: Path) -> None:
    said = run_installer(tmp_path, "sys.version_info = (3, 9, 1, 'final', 0)")
    assert said.returncode == 1
    assert "Python 3.11 or newer is needed" in said.stderr
    assert "make PYTHON=" in said.stderr


def test_unsupported_system_is_named_in_one_sentence(tmp_path: Path) -> None:
    said = run_installer(tmp_path, "import os; os.confstr = lambda _name: 'glibc 2.31'")
    assert said.returncode == 1
    assert "Linux with glibc 2.34 or newer is needed; this one has 2.31." in said.stderr
    assert list(tmp_path.iterdir()) == []


def run_installer(folder: Path, before: str) -> subprocess.CompletedProcess[str]:
    """Run the installer after a statement."""
    program = (
        f"import runpy, sys; {before}; sys.argv = ['install.py', 'venv', 'pins'];"
        f"runpy.run_path({install.__file__!r}, run_name='__main__')"
    )
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("system", "machine", "libc", "reason"),
    [
        ("Linux", "x86_64", "glibc 2.34", ""),
        ("Linux", "aarch64", "glibc 2.41", ""),
        ("Darwin", "arm64", None, ""),
        ("Darwin", "x86_64", None, ""),
        ("Linux", "x86_64", "glibc 2.28", "this one has 2.28."),
        ("Linux", "x86_64", None, "this Linux has another C library."),
        ("Linux", "armv7l", "glibc 2.36", "this is Linux on armv7l."),
        ("Windows", "AMD64", None, "this is Windows on AMD64."),
    ],
)
def test_supported_systems(
    system: str,
    machine: str,
    libc: str | None,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(os, "confstr", lambda _name: libc)
    said = install.unsupported_system()
    assert said.endswith(reason)
    assert bool(said) == bool(reason)


@pytest.mark.parametrize("name", ["build.py", "requirements/install.py"])
def test_old_python_reads_as_far_as_the_message(name: str) -> None:
    ast.parse((ROOT / name).read_text(), feature_version=(3, 7))


@pytest.mark.parametrize("version", ["(2, 7, 18)", "(3, 6, 9)", "(3, 10, 1)"])
def test_old_python_has_one_sentence(version: str) -> None:
    program = (
        f"import runpy, sys; sys.version_info = {version}; sys.version = '2.7.18 x';"
        f"sys.argv = ['build.py']; runpy.run_path({str(ROOT / 'build.py')!r})"
    )
    said = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert said.returncode == 3
    assert said.stderr.startswith("error  Python 3.11 or newer is needed; this is 2.7")
    assert len(said.stderr.splitlines()) == 2


def test_python_2_can_read_the_entry_point() -> None:
    text = (ROOT / "build.py").read_text()
    text.encode("ascii")
    assert "__future__" not in text
    for node in ast.walk(ast.parse(text)):
        assert not isinstance(node, ast.JoinedStr | ast.AnnAssign | ast.NamedExpr)


def test_check_of_the_pins_finds_what_a_python_cannot_have(
    index: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "REQUIREMENTS", project.root)
    variables = project.variables({"UV_DEFAULT_INDEX": index})
    assert lock.obstacle("pins", "3.11.0", lock.LINUX[0], variables) == ""

    # soupsieve 4.1.2 wanted 3.11.5, and Debian 12 has 3.11.2.
    folder = project.root / "index" / "simple" / PACKAGE
    project.pins.write_text(wheel(folder, python=">=3.11.5"))
    variables["UV_CACHE_DIR"] += "-of-another"
    assert "3.11.5" in lock.obstacle("pins", "3.11.0", lock.LINUX[0], variables)
    assert lock.obstacle("pins", "3.12.0", lock.LINUX[0], variables) == ""


@pytest.mark.parametrize(
    "name",
    sorted(
        {path.stem for path in (ROOT / "requirements").glob("*.in")} - lock.CONSTRAINTS
    ),
)
def test_pins_are_exact_hashed_and_name_no_registry(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    assert not re.search(r"^--", text, re.MULTILINE)
    blocks = [block for block in re.split(r"\n(?=\S)", text) if "==" in block]
    assert all("--hash=sha256:" in block for block in blocks)
    requirements = (ROOT / "requirements" / f"{name}.in").read_text().splitlines()
    for line in (line for line in requirements if line and line[0] not in "#-"):
        assert re.search(r"==\d", line), f"{line} is no exact version"
        pin = re.sub(r"\[.*\]", "", line).partition(" ")[0]
        assert f"\n{pin} " in f"\n{text}", f"run `make pins` for {line}"


def test_developers_have_the_versions_of_operators() -> None:
    texts = (
        (ROOT / f"requirements/{name}.txt").read_text() for name in ("tool", "dev")
    )
    tool, dev = (set(re.findall(r"^\S+==\S+", text, re.MULTILINE)) for text in texts)
    assert tool < dev


def test_every_file_of_requirements_is_pinned_and_checked() -> None:
    names = {path.stem for path in (ROOT / "requirements").glob("*.in")}
    assert names == set(lock.ORDER)
    assert names == {path.stem for path in (ROOT / "requirements").glob("*.txt")}


def test_make_alone_lists_every_target_with_a_sentence() -> None:
    said = subprocess.run(
        ["make", "--no-print-directory"],  # noqa: S607 - whichever make there is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    listed = dict(re.findall(r"^  ([a-z-]+) +(\S.*\.)$", said, re.MULTILINE))
    targets = re.findall(
        r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert listed.keys() == set(targets) - {"gone"}
    assert {"templates", "test", "check", "bench", "format", "clean"} <= listed.keys()


def test_make_without_a_python_says_what_to_do(checkout: Checkout) -> None:
    (checkout.root / "Makefile").write_text((ROOT / "Makefile").read_text())
    said = subprocess.run(
        ["make", "PYTHON=", "templates"],  # noqa: S607 - whichever make there is
        cwd=checkout.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode
    assert "Python 3.11 or newer is needed" in said.stderr


def test_continuous_integration_runs_what_the_readme_says() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text().splitlines()
    readme = (ROOT / "README.md").read_text()
    for command in ("make test", "make verify ENV=dev"):
        assert command in lines
        assert command in readme


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("destroy", "prod"), "An environment is named with ENV=prod"),
        (("destroy", "prod", "ENV=dev"), "There is no target prod"),
        (("destroy", "env=prod"), "make takes no env="),
        (("launch", "ENVIRONMENT=prod"), "make takes no ENVIRONMENT="),
        *(
            ((name, *more), f"{name} needs an environment")
            for name in ("destroy", "launch", "recover", "publish", "catalog", "local")
            for more in ((), ("ENV=",))
        ),
    ],
    ids=str,
)
def test_make_takes_no_environment_for_granted(
    words: tuple[str, ...], what: str
) -> None:
    """`make destroy prod` destroyed dev, with its data."""
    done = subprocess.run(  # noqa: S603 - the words are above
        ["make", "--dry-run", *words],  # noqa: S607 - whichever make there is
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert what in done.stderr
    assert "build.py" not in done.stdout


def test_every_command_is_a_target() -> None:
    targets = re.findall(
        r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert set(main.commands) <= set(targets)


@pytest.mark.parametrize(("code", "end"), [(0, 0), (4, 0), (1, 2), (130, 2)])
def test_nothing_to_change_is_no_error_of_make(
    code: int, end: int, checkout: Checkout
) -> None:
    (checkout.root / "Makefile").write_text((ROOT / "Makefile").read_text())
    python = checkout.root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\nexit {code}\n")
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "-o", ".venv/.installed", "plan", "ENV=dev"],  # noqa: S607 - as above
        cwd=checkout.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == end, done.stderr
    assert end == 0 or f"Error {code}" in done.stderr
