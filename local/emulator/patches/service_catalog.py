"""Service Catalog: products and their versions.

Portfolios, constraints and associations are stubs; nothing is provisioned. The products
are stored in a file beside MiniStack's, so that they survive a stop.
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
from local.emulator.patches.ministack import CreateResult

PRODUCT = "AWS::ServiceCatalog::CloudFormationProduct"
TARGET = "AWS242ServiceCatalogService."

Request = Mapping[str, Any]
Answer = dict[str, Any]


class CatalogError(Exception):
    """A refusal of Service Catalog, with its error code."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class Catalog:
    """The products, stored in a file."""

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
            raise CatalogError("InvalidAction", f"{operation} is not emulated.")
        result = operations[operation](request)
        self._save()
        return result

    def _create(
        self, _logical_id: str, declared: dict[str, Any], _stack: str
    ) -> CreateResult:
        product_id = f"prod-{uuid.uuid4().hex[:13]}"
        self._products[product_id] = {"versions": [], "tokens": {}}
        return self._update(product_id, None, declared, "")

    def _update(
        self, product_id: str, _old: Any, new: Any, _stack: str
    ) -> CreateResult:
        product = self._product(product_id)
        product["view"] = {
            name: new[name]
            for name in ("Description", "Name", "Owner", "SupportEmail")
            if name in new
        }
        names = {version["Name"] for version in product["versions"]}
        for declared in new.get("ProvisioningArtifactParameters", ()):
            if declared.get("Name") not in names:
                product["versions"].append(_version(declared))
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
            raise CatalogError(
                "ResourceNotFoundException", f"Product {product_id} not found."
            )
        return self._products[product_id]

    def _save(self) -> None:
        new_file = self._file.with_suffix(".new")
        new_file.write_text(json.dumps(self._products))
        new_file.replace(self._file)


def load() -> Catalog:
    """Return the catalog of this emulator."""
    return Catalog(Path(os.environ["STATE_DIR"]) / "local-servicecatalog.json")


def _version(declared: Request) -> dict[str, Any]:
    """Return a new version; its template must exist, as on AWS."""
    info = dict(declared["Info"])
    try:
        validation_patches.read(info["LoadTemplateFromURL"])
    except template_urls.UnreadableTemplateError as error:
        raise CatalogError("InvalidParametersException", str(error)) from error
    return {
        "Id": f"pa-{uuid.uuid4().hex[:13]}",
        "Name": declared.get("Name", "-"),
        "Description": declared.get("Description", ""),
        "Type": declared.get("Type", "CLOUD_FORMATION_TEMPLATE"),
        "CreatedTime": time.time(),
        "Active": True,
        "Guidance": "DEFAULT",
        "Info": info,
    }


def _find(product: Mapping[str, Any], version_id: str) -> dict[str, Any]:
    for version in product["versions"]:
        if version["Id"] == version_id:
            match: dict[str, Any] = version
            return match
    raise CatalogError(
        "ResourceNotFoundException", f"ProvisioningArtifact {version_id} not found."
    )


def _shown(version: Mapping[str, Any]) -> Answer:
    detail = {name: value for name, value in version.items() if name != "Info"}
    info = {"TemplateUrl": version["Info"]["LoadTemplateFromURL"]}
    return {"ProvisioningArtifactDetail": detail, "Info": info, "Status": "AVAILABLE"}
