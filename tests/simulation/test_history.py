"""An exported history becomes a day, and what is no history is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulation.history import COLUMNS, HistoryError, read
from simulation.tasks import PoolShape

MIDNIGHT = 1_770_000_000 // 86_400 * 86_400

GOOD = f"""{",".join(COLUMNS)}
sales,extract,r1,default,scheduled,{MIDNIGHT + 300},{MIDNIGHT + 340},{MIDNIGHT + 400}
sales,extract,r2,default,scheduled,{MIDNIGHT + 600},{MIDNIGHT + 601},{MIDNIGHT + 621}
sales,load,r1,big,scheduled,{MIDNIGHT + 402},{MIDNIGHT + 500},{MIDNIGHT + 900}
ad-hoc,run,m1,default,manual,{MIDNIGHT + 50},{MIDNIGHT + 51},{MIDNIGHT + 52}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "history.csv"
    path.write_text(text)
    return path


def test_history_tasks_keep_their_times_and_durations(tmp_path: Path) -> None:
    day = read(written(tmp_path, GOOD), {"big": PoolShape(concurrency=2)})
    tasks = {
        (run.at, task.pool, task.duration)
        for run in day.runs
        for task in run.stages[0].tasks
    }
    assert tasks == {
        (300.0, "default", 60.0),
        (600.0, "default", 20.0),
        (402.0, "big", 400.0),
        (50.0, "default", 1.0),
    }
    assert day.pools["big"].concurrency == 2


def test_only_the_first_tasks_of_scheduled_runs_were_announced(tmp_path: Path) -> None:
    day = read(written(tmp_path, GOOD))
    assert {run.at: run.announced for run in day.runs} == {
        50.0: 0.0,
        300.0: 1.0,
        402.0: 0.0,
        600.0: 1.0,
    }


def test_task_is_expected_to_take_its_mean(tmp_path: Path) -> None:
    day = read(written(tmp_path, GOOD))
    assert {t.estimate for t in day.tasks() if t.pool == "default"} == {40.0, 1.0}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "lacks the columns"),
        ("dag_id,task_id\n", "lacks the columns run_id"),
        (",".join(COLUMNS) + "\n", "holds no tasks"),
        (
            GOOD + "a,b,c,default,manual,soon,1,2\n",
            "line 6: queued is 'soon'; use seconds",
        ),
        (GOOD + "a,b,c,default,manual,1,2026-01-31 00:00,3\n", "started is '2026-01"),
        (GOOD + "a,b,c\n", "line 6: queued is ''"),
        (GOOD + "a,b,c,,manual,1,2,3\n", "line 6: the task has no queue"),
        (GOOD + f'"{"x" * 200_000}",b,c,q,manual,1,2,3\n', "field larger than"),
        (GOOD + f"a,b,c,default,manual,{MIDNIGHT},9,9\n", "took no time"),
        (GOOD + f"a,b,c,default,manual,{MIDNIGHT},nan,9\n", "took no time"),
        (GOOD + f"a,b,c,q,manual,{MIDNIGHT + 200_000},1,2\n", "spans 2.3 days"),
    ],
)
def test_invalid_histories_are_refused_with_the_reason(
    text: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(HistoryError, match=reason):
        read(written(tmp_path, text))
