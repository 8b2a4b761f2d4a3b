"""Published addresses hold what lies there, and never change their meaning."""

from __future__ import annotations

import json
from typing import Any

from deploy.addresses import Publication, PublishLocation, build_publication
from deploy.dist import digest
from tests.deploy.fakes import FILES, NETWORK, PARENT, STORAGE, dist

PLACE = PublishLocation("our-templates", "eu-central-1", "amazonaws.com")


def existing_publication(
    files: Any = FILES, place: PublishLocation = PLACE
) -> Publication:
    return build_publication(dist(files).files, place)


def test_nested_template_has_a_regional_url() -> None:
    parent = existing_publication().template("parent.template.json")
    url = parent["Resources"]["Network"]["Properties"]["TemplateURL"]
    assert url == existing_publication()["network.template.json"].url
    assert url.startswith(
        "https://our-templates.s3.eu-central-1.amazonaws.com/network/"
    )


def test_url_contains_the_digest_of_its_content() -> None:
    for file in existing_publication().files:
        assert digest(file.body) in file.key


def test_assets_are_referred_to_by_bucket_and_key() -> None:
    code = existing_publication().template("storage.template.json")["Resources"]["Code"]
    assert code["Properties"]["Code"] == {
        "S3Bucket": "our-templates",
        "S3Key": f"assets/{digest(b'runtime')}.zip",
    }


def test_only_a_whole_string_is_rewritten() -> None:
    """A description may mention a file without becoming an address."""
    code = existing_publication().template("storage.template.json")["Resources"]["Code"]
    assert (
        code["Properties"]["Description"]
        == (STORAGE["Resources"]["Code"]["Properties"]["Description"])
    )


def test_the_default_of_a_parameter_is_rewritten_too() -> None:
    """The first version of the catalog's product is one."""
    catalog = existing_publication().template("service-catalog.template.json")
    default = catalog["Parameters"]["FirstVersionUrl"]["Default"]
    assert default == existing_publication().root_url


def test_nested_templates_come_before_their_parents() -> None:
    place = {
        f.path: i
        for i, layer in enumerate(existing_publication().layers)
        for f in layer
    }
    assert place["assets/runtime.zip"] < place["storage.template.json"]
    assert place["storage.template.json"] < place["parent.template.json"]
    assert place["parent.template.json"] < place["service-catalog.template.json"]


def test_parameters_of_environments_are_not_published() -> None:
    assert not [
        f for f in existing_publication().files if f.path.startswith("parameters/")
    ]


def test_unchanged_nested_template_keeps_its_url() -> None:
    changed = {
        **FILES,
        "storage.template.json": {**STORAGE, "Description": "Another."},
    }
    before, after = existing_publication(), existing_publication(changed)
    assert before["network.template.json"].url == after["network.template.json"].url
    assert before["storage.template.json"].url != after["storage.template.json"].url
    assert before.root_url != after.root_url


def test_same_files_give_the_same_urls_in_any_order() -> None:
    backwards = dict(reversed(list(FILES.items())))
    assert existing_publication().files == existing_publication(backwards).files


def test_urls_are_right_in_other_partitions() -> None:
    place = PublishLocation("b", "cn-north-1", "amazonaws.com.cn")
    assert existing_publication(place=place).root_url.startswith(
        "https://b.s3.cn-north-1.amazonaws.com.cn/parent/"
    )


def test_only_strings_are_rewritten() -> None:
    network = existing_publication().template("network.template.json")
    assert network == NETWORK
    parent = json.dumps(existing_publication().template("parent.template.json"))
    assert json.dumps(PARENT["Parameters"]) in parent
