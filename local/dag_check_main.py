"""Parse a release in Airflow's Python and write what was found as JSON.

::

    python -P dag_check_main.py ARCHIVE FOLDER RESULT

It unpacks with the code of the containers, so a release that a worker would refuse is
refused here, and parses as the DAG processor does.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import BundleDagBag

from fargate_runtime.release_folder import unpack


def main(archive: Path, folder: Path, result: Path) -> None:
    """Write errors and warnings of import, and the queues and pools of each DAG."""
    contents = folder.with_name("contents")
    contents.mkdir()
    unpack(archive, folder, contents)
    bag = BundleDagBag(
        dag_folder=str(folder),
        bundle_path=folder,
        bundle_name="check",
        load_op_links=False,
    )
    result.write_text(
        json.dumps(
            {
                "errors": bag.import_errors,
                "warnings": [
                    line for lines in bag.captured_warnings.values() for line in lines
                ],
                "dags": [_described(dag) for dag in bag.dags.values()],
            }
        )
    )


def _described(dag: Any) -> dict[str, Any]:
    queues, pools = defaultdict(list), defaultdict(list)
    for task in dag.tasks:
        queues[task.queue].append(task.task_id)
        pools[task.pool].append(task.task_id)
    return {"id": dag.dag_id, "file": dag.fileloc, "queues": queues, "pools": pools}


if __name__ == "__main__":
    main(*(Path(argument).absolute() for argument in sys.argv[1:]))
