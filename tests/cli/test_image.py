"""The digest of a built image is written into a parameter file, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.image import write_image

IMAGE = "1.dkr.ecr.eu-west-1.amazonaws.com/team@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '{\n  "Parameters": {\n    "Profile": "development"\n  }\n}\n',
            (
                '{\n  "Parameters": {\n    "Image": "@",\n'
                '    "Profile": "development"\n  }\n}\n'
            ),
        ),
        ('{"Parameters": {}}', '{"Parameters": {\n    "Image": "@"}}'),
        (
            '{"Parameters": {"Image" : "apache/airflow:3.3.2"}, "Tags": {}}',
            '{"Parameters": {"Image" : "@"}, "Tags": {}}',
        ),
    ],
)
def test_image_is_written_and_the_rest_stays(
    before: str, after: str, tmp_path: Path
) -> None:
    file = tmp_path / "dev.json"
    file.write_text(before)
    assert write_image(file, IMAGE)
    assert file.read_text() == after.replace("@", IMAGE, 1)
    assert not write_image(file, IMAGE)
