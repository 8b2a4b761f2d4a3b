"""Service Catalog as far as a product is published: products and their versions.

Portfolios, constraints and associations are stand-ins; nothing is provisioned here.
What is kept lies in a file beside MiniStack's, so that it outlives a stop.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.emulator.patches import template_urls, validation_patches

PRODUCT = "AWS::ServiceCatalog::CloudFormationProduct"
TARGET = "AWS242ServiceCatalogService."

Made = tuple[str, dict[str, Any]]
Request = Mapping[str, Any]
Answer = dict[str, Any]


class RefusedError(Exception):
    """The service would refuse; its kind of error and its words."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class Catalog:
    """The products, kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._products: dict[str, dict[str, Any]] = {}
        if file.exists():
            self._products = json.loads(file.read_text())

    def handlers(self) -> dict[str, Any]:
        """Return the handlers of a product, as MiniStack's provisioners take them."""
        return {"create": self._create, "update": self._update, "delete": self._delete}

    def answer(self, target: str, request: Request) -> Answer:
        """Answer one call of the API."""
        operation = target.removeprefix(TARGET)
        operations: Mapping[str, Callable[[Request], Answer]] = {
            "CreateProvisioningArtifact": self._add,
            "DescribeProductAsAdmin": self._describe,
            "DescribeProvisioningArtifact": self._describe_version,
            "ListProvisioningArtifacts": self._list,
            "UpdateProvisioningArtifact": self._change,
        }
        if operation not in operations:
            raise RefusedError(
                "InvalidAction", f"{operation} is not among what is emulated."
            )
        found = operations[operation](request)
        self._save()
        return found

    def _create(self, _logical_id: str, given: dict[str, Any], _stack: str) -> Made:
        product_id = f"prod-{uuid.uuid4().hex[:13]}"
        self._products[product_id] = {"versions": [], "tokens": {}}
        return self._update(product_id, None, given, "")

    def _update(self, product_id: str, _old: Any, new: Any, _stack: str) -> Made:
        product = self._product(product_id)
        product["view"] = {
            name: new[name]
            for name in ("Description", "Name", "Owner", "SupportEmail")
            if name in new
        }
        names = {version["Name"] for version in product["versions"]}
        for wanted in new.get("ProvisioningArtifactParameters", ()):
            if wanted.get("Name") not in names:
                product["versions"].append(_version(wanted))
        self._save()
        ids = [version["Id"] for version in product["versions"]]
        return product_id, {
            "ProductId": product_id,
            "ProductName": product["view"]["Name"],
            "ProvisioningArtifactIds": ",".join(ids),
            "ProvisioningArtifactNames": ",".join(
                version["Name"] for version in product["versions"]
            ),
        }

    def _delete(self, product_id: str, _properties: Any) -> None:
        self._products.pop(product_id, None)
        self._save()

    def _add(self, request: Request) -> Answer:
        product = self._product(request["ProductId"])
        token = request["IdempotencyToken"]
        if token not in product["tokens"]:
            version = _version(request["Parameters"])
            product["versions"].append(version)
            product["tokens"][token] = version["Id"]
        version = _find(product, product["tokens"][token])
        return _shown(version)

    def _describe(self, request: Request) -> Answer:
        product = self._product(request["Id"])
        return {
            "ProductViewDetail": {
                "ProductViewSummary": {
                    "ProductId": request["Id"],
                    "Name": product["view"]["Name"],
                    "Owner": product["view"]["Owner"],
                    "Type": "CLOUD_FORMATION_TEMPLATE",
                },
                "Status": "AVAILABLE",
            },
            "ProvisioningArtifactSummaries": [
                {name: version[name] for name in ("Id", "Name", "CreatedTime")}
                for version in product["versions"]
            ],
        }

    def _describe_version(self, request: Request) -> Answer:
        product = self._product(request["ProductId"])
        return _shown(_find(product, request["ProvisioningArtifactId"]))

    def _list(self, request: Request) -> Answer:
        versions = self._product(request["ProductId"])["versions"]
        return {
            "ProvisioningArtifactDetails": [
                _shown(version)["ProvisioningArtifactDetail"] for version in versions
            ]
        }

    def _change(self, request: Request) -> Answer:
        product = self._product(request["ProductId"])
        version = _find(product, request["ProvisioningArtifactId"])
        for name in ("Active", "Description", "Guidance", "Name"):
            if name in request:
                version[name] = request[name]
        return _shown(version)

    def _product(self, product_id: str) -> dict[str, Any]:
        if product_id not in self._products:
            raise RefusedError(
                "ResourceNotFoundException", f"Product {product_id} not found."
            )
        return self._products[product_id]

    def _save(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._products))
        fresh.replace(self._file)


def kept() -> Catalog:
    """Return the catalog of this emulator."""
    return Catalog(Path(os.environ["STATE_DIR"]) / "local-servicecatalog.json")


def _version(wanted: Request) -> dict[str, Any]:
    """Return a new version; its template must be there, as on AWS."""
    info = dict(wanted["Info"])
    try:
        validation_patches.read(info["LoadTemplateFromURL"])
    except template_urls.UnreadableError as error:
        raise RefusedError("InvalidParametersException", str(error)) from error
    return {
        "Id": f"pa-{uuid.uuid4().hex[:13]}",
        "Name": wanted.get("Name", "-"),
        "Description": wanted.get("Description", ""),
        "Type": wanted.get("Type", "CLOUD_FORMATION_TEMPLATE"),
        "CreatedTime": time.time(),
        "Active": True,
        "Guidance": "DEFAULT",
        "Info": info,
    }


def _find(product: Mapping[str, Any], version_id: str) -> dict[str, Any]:
    for version in product["versions"]:
        if version["Id"] == version_id:
            found: dict[str, Any] = version
            return found
    raise RefusedError(
        "ResourceNotFoundException", f"ProvisioningArtifact {version_id} not found."
    )


def _shown(version: Mapping[str, Any]) -> Answer:
    detail = {name: value for name, value in version.items() if name != "Info"}
    info = {"TemplateUrl": version["Info"]["LoadTemplateFromURL"]}
    return {
        "ProvisioningArtifactDetail": detail,
        "Info": info,
        "Status": "AVAILABLE",
    }
