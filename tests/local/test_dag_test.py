"""The run of one DAG: its settings, and what its end means."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cli.errors import Failure
from local import dag_test
from local.airflow_environment import AirflowEnvironment

AIRFLOW = """#!{python}
import json, os, sys
from pathlib import Path
home = Path(os.environ["AIRFLOW_HOME"])
if sys.argv[1:] == ["db", "migrate"]:
    (home / "airflow.db").touch()
    sys.exit()
assert (home / "airflow.db").exists()
plugins = sorted(path.name for path in (home / "plugins").iterdir())
settings = {{k: v for k, v in os.environ.items() if k.startswith("AIRFLOW")}}
Path({record!r}).write_text(json.dumps([sys.argv[1:], plugins, settings]))
{end}
"""


def airflow(folder: Path, end: str = "") -> AirflowEnvironment:
    """Return an environment whose ``airflow`` records how it is called."""
    program = folder / "bin" / "airflow"
    program.parent.mkdir()
    record = str(folder / "record.json")
    program.write_text(AIRFLOW.format(python=sys.executable, record=record, end=end))
    program.chmod(0o755)
    return AirflowEnvironment(folder)


def run(environment: AirflowEnvironment, plugins: dict[str, Path]) -> list[str]:
    lines: list[str] = []
    dag_test.run(
        "report",
        Path("/dags"),
        environment,
        plugins=plugins,
        runtime=b"zip",
        variables={"AIRFLOW__CORE__DEFAULT_TASK_RETRIES": "3"},
        conf='{"day": 1}',
        tell=lines.append,
    )
    return lines


def test_dag_runs_with_plugins_and_the_settings_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "of another Airflow")
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", "aws://")
    plugin = tmp_path / "page.py"
    plugin.touch()
    assert run(airflow(tmp_path, "print('done')"), {"page.py": plugin}) == ["done"]
    record = json.loads((tmp_path / "record.json").read_text())
    arguments, plugins, settings = record
    assert arguments == ["dags", "test", "report", "--conf", '{"day": 1}']
    assert plugins == ["page.py"]
    assert settings["AIRFLOW__CORE__DEFAULT_TASK_RETRIES"] == "3"
    assert settings["AIRFLOW_CONN_LAKE"] == "aws://"
    assert "AIRFLOW__CORE__FERNET_KEY" not in settings
    assert not Path(settings["AIRFLOW_HOME"]).exists()


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("sys.exit('DagRun failed')", "The run failed."),
        ("sys.exit('Dag report could not be found')", "No file makes a DAG report."),
    ],
)
def test_failed_run_fails_the_command(end: str, words: str, tmp_path: Path) -> None:
    plugin = tmp_path / "page.py"
    plugin.touch()
    with pytest.raises(Failure) as failure:
        run(airflow(tmp_path, end), {"page.py": plugin})
    (problem,) = failure.value.problems
    assert problem.what == words
