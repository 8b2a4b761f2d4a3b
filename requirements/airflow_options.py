"""Write the options that the pinned Airflow and its providers know, as JSON.

``make options`` runs it with the Python of ``.venv-airflow``. The sources are
``config.yml`` of Airflow and the ``get_provider_info`` of each provider there, as
Airflow itself reads them.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import distributions, version
from pathlib import Path

from airflow.configuration import conf

PROVIDER = "apache-airflow-providers-"


def table() -> dict[str, object]:
    """Return the versions, the names of all options, and the sensitive ones."""
    options = {
        f"{section}.{name}": option
        for section, description in conf.configuration_description.items()
        for name, option in description["options"].items()
    }
    providers = {
        name: distribution.version
        for distribution in distributions()
        if (name := distribution.metadata["Name"]).startswith(PROVIDER)
    }
    return {
        "Airflow": version("apache-airflow-core"),
        "Providers": dict(sorted(providers.items())),
        "Options": sorted(options),
        "Sensitive": sorted(
            name for name, option in options.items() if option.get("sensitive")
        ),
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(table(), indent=1) + "\n")
