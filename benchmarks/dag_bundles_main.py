"""What one start of a task asks of a DAG bundle, in Airflow's Python.

::

    python dag_bundles_main.py BUNDLE VERSION

Prints the seconds and the requests to S3 until the files are there.
"""

from __future__ import annotations

import json
import sys
import time

from airflow.dag_processing.bundles.manager import DagBundlesManager
from botocore.httpsession import URLLib3Session


def main(name: str, version: str) -> None:
    """Prepare a bundle as the process of a task does; print what that took."""
    requests = 0
    send = URLLib3Session.send

    def counted(session: URLLib3Session, request: object) -> object:
        nonlocal requests
        requests += 1
        return send(session, request)

    URLLib3Session.send = counted
    # It imports the classes of all bundles, whichever a task needs.
    manager = DagBundlesManager()
    started = time.perf_counter()
    bundle = manager.get_bundle(name, version or None)
    bundle.initialize()
    seconds = time.perf_counter() - started
    print(json.dumps([seconds, requests]))  # noqa: T201 - the result


if __name__ == "__main__":
    main(*sys.argv[1:])
