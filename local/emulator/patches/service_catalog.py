"""Service Catalog: products, their versions, and launches with the launch role.

Portfolios, associations and other constraints are stubs: every caller may launch every
product. A launch is a stack that CloudFormation creates with the rights of the
product's launch role, whose calls are checked. Products and launches are stored in a
file beside MiniStack's, so that they survive a stop.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from local.emulator.patches import (
    authorization,
    template_urls,
    validation_patches,
)
from local.emulator.patches.authorization import Authorizer
from local.emulator.patches.ministack import (
    HANDLERS,
    CreateResult,
    Handlers,
    account,
    call,
    region,
    stack_named,
)
from local.iam.policy import ApiCall

PRODUCT = "AWS::ServiceCatalog::CloudFormationProduct"
LAUNCH_ROLE = "AWS::ServiceCatalog::LaunchRoleConstraint"

LAUNCH_CALLS = (
    "GetTemplateSummary",
    "ValidateTemplate",
    "CreateStack",
    "DescribeStacks",
    "DescribeStackEvents",
    "GetTemplate",
    "SetStackPolicy",
)
"""What Service Catalog calls for a launch, as its administrator guide lists it."""

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
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

    def __init__(self, file: Path, authorizer: Authorizer) -> None:
        self._file = file
        self._authorizer = authorizer
        self._products: dict[str, dict[str, Any]] = {}
        self._launches: dict[str, dict[str, Any]] = {}
        """Provisioned products by ID."""
        if file.exists():
            stored = json.loads(file.read_text())
            self._products, self._launches = stored["products"], stored["launches"]

    def handlers(self) -> dict[str, Handlers]:
        """Return the handlers of its types, as MiniStack's provisioners take them."""
        return {
            PRODUCT: {
                "create": self._create,
                "update": self._update,
                "delete": self._delete,
            },
            LAUNCH_ROLE: {
                "create": self._constrain,
                "update": self._constrain_again,
                "delete": self._release,
            },
        }

    def answer(self, target: str, request: Request) -> Answer:
        """Answer one call of the API."""
        operation = target.removeprefix(TARGET)
        operations: Mapping[str, Callable[[Request], Answer]] = {
            "CreateProvisioningArtifact": self._add,
            "DescribeProductAsAdmin": self._describe,
            "DescribeRecord": self._describe_record,
            "ProvisionProduct": self._launch,
            "TerminateProvisionedProduct": self._terminate,
            "UpdateProvisionedProduct": self._update_launch,
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

    def _constrain(
        self, logical_id: str, declared: dict[str, Any], _stack: str
    ) -> CreateResult:
        product = self._product(declared["ProductId"])
        product["launch_role"] = declared["RoleArn"]
        self._save()
        constraint_id = f"cons-{uuid.uuid4().hex[:13]}"
        return constraint_id, {"Id": constraint_id, "LogicalId": logical_id}

    def _constrain_again(
        self, constraint_id: str, _old: Any, new: dict[str, Any], stack: str
    ) -> CreateResult:
        self._constrain("", new, stack)
        return constraint_id, {"Id": constraint_id}

    def _release(self, _constraint_id: str, declared: dict[str, Any]) -> None:
        product = self._products.get(declared["ProductId"], {})
        product.pop("launch_role", None)
        self._save()

    def _launch(self, request: Request) -> Answer:
        """Create the stack of a launch, with the rights of the launch role."""
        launch_id = f"pp-{uuid.uuid4().hex[:13]}"
        launch = {
            "Id": launch_id,
            "Name": request["ProvisionedProductName"],
            "ProductId": request["ProductId"],
            "StackName": f"SC-{account()}-{launch_id}",
        }
        self._launches[launch_id] = launch
        return self._operate("_create_stack", LAUNCH_CALLS, launch, request)

    def _update_launch(self, request: Request) -> Answer:
        return self._operate(
            "_update_stack", ("UpdateStack",), self._found(request), request
        )

    def _terminate(self, request: Request) -> Answer:
        return self._operate(
            "_delete_stack", ("DeleteStack",), self._found(request), request
        )

    def _operate(
        self,
        action: str,
        calls: tuple[str, ...],
        launch: dict[str, Any],
        request: Request,
    ) -> Answer:
        """Call CloudFormation with the rights of the launch role."""
        product = self._product(launch["ProductId"])
        name = launch["StackName"]
        parameters = {"StackName": name}
        if action != "_delete_stack":
            version = _find(product, request["ProvisioningArtifactId"])
            parameters |= _stack_request(version, request)
        record = f"rec-{uuid.uuid4().hex[:13]}"
        launch["records"] = {**launch.get("records", {}), record: action}
        with authorization.acting_as(product.get("launch_role", "")):
            try:
                for needed in _calls_of(calls, name):
                    self._authorizer.check(needed)
                call(HANDLERS, action, parameters, _refused)
            except authorization.AccessDeniedError as refusal:
                launch["error"] = str(refusal)
            except CatalogError as refusal:
                launch["error"] = str(refusal)
        return self._describe_record({"Id": record})

    def _describe_record(self, request: Request) -> Answer:
        record = request["Id"]
        for launch in self._launches.values():
            if record in launch["records"]:
                return _record(record, launch)
        raise CatalogError("ResourceNotFoundException", f"Record {record} not found.")

    def _found(self, request: Request) -> dict[str, Any]:
        for launch in self._launches.values():
            if request.get("ProvisionedProductId") == launch["Id"] or (
                request.get("ProvisionedProductName") == launch["Name"]
            ):
                return launch
        raise CatalogError(
            "ResourceNotFoundException", "There is no such provisioned product."
        )

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
        stored = {"products": self._products, "launches": self._launches}
        new_file.write_text(json.dumps(stored))
        new_file.replace(self._file)


def load(authorizer: Authorizer) -> Catalog:
    """Return the catalog of this emulator."""
    file = Path(os.environ["STATE_DIR"]) / "local-servicecatalog.json"
    return Catalog(file, authorizer)


def _refused(message: str) -> CatalogError:
    return CatalogError("InvalidParametersException", message)


def _calls_of(operations: tuple[str, ...], stack_name: str) -> Iterator[ApiCall]:
    """Yield the calls of Service Catalog as the launch role."""
    stack = f"arn:aws:cloudformation:{region()}:{account()}:stack/{stack_name}/new"
    for operation in operations:
        # These read a template, before there is a stack.
        is_free = operation in ("GetTemplateSummary", "ValidateTemplate")
        yield ApiCall(
            action=f"cloudformation:{operation}", resource="*" if is_free else stack
        )
    if "CreateStack" in operations:
        yield ApiCall(
            action="s3:GetObject",
            resource="arn:aws:s3:::copies-of-service-catalog/template",
            context={"s3:existingobjecttag/servicecatalog:provisioning": "true"},
        )


def _stack_request(version: Request, request: Request) -> dict[str, str]:
    """Return the template, parameters and tags of a launch for the Query API."""
    parameters = {"TemplateURL": version["Info"]["LoadTemplateFromURL"]}
    for number, pair in enumerate(request.get("ProvisioningParameters", ()), 1):
        parameters[f"Parameters.member.{number}.ParameterKey"] = pair["Key"]
        parameters[f"Parameters.member.{number}.ParameterValue"] = pair["Value"]
    for number, tag in enumerate(request.get("Tags", ()), 1):
        parameters[f"Tags.member.{number}.Key"] = tag["Key"]
        parameters[f"Tags.member.{number}.Value"] = tag["Value"]
    for number, capability in enumerate(CAPABILITIES, 1):
        parameters[f"Capabilities.member.{number}"] = capability
    return parameters


def _record(record_id: str, launch: Mapping[str, Any]) -> Answer:
    """Return a record, with the status of the stack."""
    stack = stack_named(launch["StackName"]) or {}
    status = str(stack.get("StackStatus", ""))
    error = launch.get("error", "")
    if error or "ROLLBACK_COMPLETE" in status or status.endswith("_FAILED"):
        state = "FAILED"
    elif status.endswith("_IN_PROGRESS"):
        state = "IN_PROGRESS"
    else:
        state = "SUCCEEDED"
    reason = error or stack.get("StackStatusReason", "")
    arn = {
        "OutputKey": "CloudformationStackARN",
        "OutputValue": stack.get("StackId", ""),
    }
    outputs = [arn, *stack.get("Outputs", ())]
    return {
        "RecordDetail": {
            "RecordId": record_id,
            "ProvisionedProductId": launch["Id"],
            "ProvisionedProductName": launch["Name"],
            "ProvisionedProductType": "CFN_STACK",
            "ProductId": launch["ProductId"],
            "Status": state,
            "RecordErrors": [{"Code": "Failed", "Description": reason}]
            if state == "FAILED"
            else [],
        },
        "RecordOutputs": outputs if stack else [],
    }


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
