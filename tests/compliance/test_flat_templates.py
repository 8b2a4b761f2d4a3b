"""The templates that are written for rule packs."""

from __future__ import annotations

import json

import pytest

from cloudformation.evaluation import references
from tests.compliance.environments import Library
from tests.compliance.flat_templates import flat_template


@pytest.mark.slow
def test_flat_template_holds_values_and_its_own_references(library: Library) -> None:
    resources = flat_template(library, "everything")["Resources"]
    names = {name for name, _ in references(resources) if "::" not in name}
    assert names
    assert names <= resources.keys()
    assert '"Fn::If"' not in json.dumps(resources)
    cluster = resources["DatabaseCluster"]["Properties"]
    assert cluster["BackupRetentionPeriod"] == 35
    assert cluster["StorageEncrypted"] is True
