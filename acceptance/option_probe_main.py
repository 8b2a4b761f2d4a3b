"""The options of Airflow in several environments: one process, of Airflow's own Python.

Standard input is a list of environments, each with the options to read; the values go
to standard output. To import Airflow takes a second of CPU, and once is enough.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

from airflow import configuration


def values(environ: Mapping[str, str], options: Sequence[str]) -> list[str]:
    """Return what ``airflow config get-value`` prints in an environment."""
    os.environ.clear()
    os.environ.update(environ)
    configuration.AIRFLOW_CONFIG = configuration.get_airflow_config("")
    parser = configuration.initialize_config()
    return [parser.get(*option.rsplit(".", 1), fallback="") for option in options]


if __name__ == "__main__":
    questions = json.load(sys.stdin)
    answers = [values(*question) for question in questions]
    # After the lines that Airflow logs.
    sys.stdout.write(f"\n{json.dumps(answers)}\n")
