"""Packages of a team and of the stock image in a local environment."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from local import airflow_image, kept_data
from local.errors import LocalEnvironmentError
from local.kept_data import KeptData
from local.packages import TeamPackages, _without
from local.stock_modules import distribution
from team_image.folder import ImageFolder
from team_image.resolution import stock


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (
            "airflow.providers.cncf.kubernetes.operators.pod",
            "apache-airflow-providers-cncf-kubernetes",
        ),
        ("airflow.providers.ssh.operators.ssh", "apache-airflow-providers-ssh"),
        ("google.cloud.bigquery", "google-cloud-bigquery"),
        ("snowflake.connector", "snowflake-connector-python"),
        ("git", "gitpython"),
        ("pandas.testing", "pandas"),
        ("airflow.providers.apache.beam", ""),
        ("json", ""),
    ],
)
def test_module_leads_to_its_package(module: str, name: str) -> None:
    assert distribution(module, stock()) == name


def test_dags_bring_in_what_they_import_of_the_stock_image(tmp_path: Path) -> None:
    (tmp_path / "report.py").write_text(
        "import pandas as pd\n"
        "from airflow.providers.amazon.aws.hooks.s3 import S3Hook\n"
        "from airflow.providers.ssh.operators.ssh import SSHOperator\n"
    )
    (tmp_path / "broken.py").write_text("import docker(\n")
    image = ImageFolder(tmp_path / "image", tmp_path / "requirements.txt")
    packages = TeamPackages.of(image, tmp_path)
    # The provider of AWS is always there.
    assert packages.added == {"pandas", "apache-airflow-providers-ssh"}
    new = tmp_path / "new.py"
    new.write_text("\nimport paramiko, docker\nimport pandas\n")
    lacking = {entry.distribution: entry for entry in packages.lacking([new])}
    assert lacking.keys() == {"paramiko", "docker"}
    assert lacking["docker"].advice().startswith(f"{new}:2 imports docker.")


def test_environment_of_packages_is_named_after_its_contents(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"

    def digest(text: str, *added: str) -> str:
        file.write_text(text)
        image = ImageFolder(tmp_path, file)
        return TeamPackages(image, frozenset(added))._digest()

    assert digest("cowsay\n") == digest("# a comment\ncowsay\n")
    others = {digest("cowsay"), digest("cowsay==6"), digest("cowsay", "pandas")}
    assert len(others) == 3
    assert digest("pandas") != digest("", "pandas")


def test_packages_of_airflow_are_not_installed_once_more() -> None:
    pins = "boto3==1 \\\n    --hash=sha256:1\ncowsay==6 \\\n    --hash=sha256:2\n"
    assert _without(pins, {"boto3"}) == "cowsay==6 \\\n    --hash=sha256:2\n"


def test_bundles_are_read_every_few_seconds() -> None:
    (variable, change), *_ = airflow_image.REWRITTEN.items()
    assert variable == "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
    bundles = [{"name": "dags", "kwargs": {"prefix": "", "refresh_interval": 60}}]
    (bundle,) = json.loads(change(json.dumps(bundles)))
    assert bundle["kwargs"] == {
        "prefix": "",
        "refresh_interval": airflow_image.REFRESH_SECONDS,
    }


class FakeSecrets:
    def __init__(self, **values: str) -> None:
        self.values = values

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803
        return {"SecretString": self.values[SecretId]}

    def put_secret_value(
        self,
        *,
        SecretId: str,  # noqa: N803
        SecretString: str,  # noqa: N803
    ) -> None:
        self.values[SecretId] = SecretString


def test_kept_database_gets_the_secrets_it_was_written_with(tmp_path: Path) -> None:
    names = {"FernetFirst": "arn-1", "Admin": "arn-2"}
    assert kept_data.secrets("first") == tuple(names)
    first = KeptData(tmp_path, "dev")
    first.restore_secrets(FakeSecrets(**{"arn-1": "key", "arn-2": "login"}), names)
    with pytest.raises(LocalEnvironmentError, match="in use"):
        KeptData(tmp_path, "dev")
    first.close()
    (file,) = (tmp_path / ".local" / "data" / "dev").glob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    second, launched = KeptData(tmp_path, "dev"), FakeSecrets(a="new", b="new")
    second.restore_secrets(launched, {"FernetFirst": "a", "Admin": "b"})
    second.close()
    assert launched.values == {"a": "key", "b": "login"}
