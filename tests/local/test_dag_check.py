"""What the pinned Airflow says about a release before it is pushed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import product
from deploy.release_archive import pack
from local import dag_check
from local.airflow_environment import airflow_environment

DAG = """from airflow.sdk import dag, task
import shared.words

@dag(dag_id="{id}", schedule=None)
def define():
    @task({task})
    def run():
        pass

    run()

define()
"""

FILES = {
    "good.py": DAG.format(id="good", task='queue="default", pool="crowded"'),
    "shared/__init__.py": "",
    "shared/words.py": "WORD = 1",
    "queue.py": DAG.format(id="lost", task='queue="nowhere"'),
    "one.py": DAG.format(id="twice", task=""),
    "two.py": DAG.format(id="twice", task=""),
    "syntax.py": "from airflow.sdk import dag\n@dag(\ndef broken():\n    pass\n",
    "gone.py": "from airflow import DAG\nimport not_installed\n",
    "airflow2.py": "from airflow.utils.dates import days_ago  # a DAG of Airflow 2\n",
    "old.py": "from airflow import DAG\nfrom airflow.decorators import task\n",
    "variable.py": "from airflow.sdk import DAG, Variable\nVariable.get('secret')\n",
}


@pytest.mark.slow
def test_each_mistake_has_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for DAGs")
    check = dag_check.check(
        pack(tmp_path).body,
        python=airflow_environment().python,
        runtime=product.assets()["runtime"].content,
        variables=product.parsing_settings(),
        queues=product.queues(),
    )
    problems = {problem.where: problem for problem in check.problems}
    twice = problems.keys() & {"one.py:4", "two.py:4"}
    assert problems.keys() - twice == {
        *("airflow2.py:1", "gone.py:2", "queue.py:6", "syntax.py:2", "variable.py:2"),
    }
    assert len(twice) == 1
    assert "No module named 'not_installed'" in problems["gone.py:2"].what
    assert "days_ago" in problems["airflow2.py:1"].what
    assert "AIRFLOW_VAR_SECRET" in problems["variable.py:2"].remedy
    assert "queue nowhere" in problems["queue.py:6"].what
    assert "default, spot" in problems["queue.py:6"].why
    assert all(problem.remedy for problem in check.problems)
    assert [warning.where for warning in check.warnings] == ["old.py:2"]
    assert "airflow.sdk" in check.warnings[0].what
    assert set(check.dags) == {"good", "lost", "twice"}
    assert check.pools == ("crowded",)
