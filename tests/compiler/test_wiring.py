"""Nested stacks as function calls: what a wire does, and what each wrong wire says."""

from __future__ import annotations

import itertools
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from compiler.references import references
from compiler.values import ASSET_BUCKET
from compiler.wiring import CONTEXT, AssetFile, Build, Template, WiringError

ROOT = Path(__file__).parents[2]

HEADER = """
from __future__ import annotations

from troposphere import Equals, GetAtt, If, Ref, ec2, sns

from compiler.wiring import Interface, Template, Record, Value, about, choose
"""

KINDS = """
class VpcId(Value):
    pass

class SubnetIds(Value, type="CommaDelimitedList"):
    pass

class Name(Value, AllowedPattern="^[a-z]+$"):
    pass

class Count(Value, type="Number", MinValue=1):
    pass
"""

NETWORK = """
from demo_kinds import Name, SubnetIds, VpcId

class Inputs(Interface):
    name: Name = about("What the network is called.")

class Outputs(Interface):
    vpc_id: VpcId = about("The network.")
    subnet_ids: SubnetIds = about("Its subnets.")

def define(t: Template, inputs: Inputs) -> Outputs:
    vpc = t.add(ec2.VPC("Vpc", CidrBlock=inputs.name), "The network.", why="It must.")
    return Outputs(vpc_id=VpcId(Ref(vpc)), subnet_ids=SubnetIds([Ref(vpc), "b"]))
"""

SERVICE = """
from demo_kinds import Count, Name, SubnetIds, VpcId

class Inputs(Interface):
    vpc_id: VpcId = about("Where it runs.")
    subnet_ids: SubnetIds = about("In which subnets.")

class Outputs(Interface):
    name: Name = about("What it is called.", public=True)

def define(t: Template, inputs: Inputs) -> Outputs:
    topic = t.add(
        sns.Topic("Topic", TopicName=inputs.vpc_id, DisplayName=inputs.subnet_ids),
        "The topic.",
    )
    return Outputs(name=Name(GetAtt(topic, "TopicName")))
"""

PARENT_HEAD = """
import demo_network as network
import demo_service as service
from demo_kinds import Count, Name, SubnetIds, VpcId

class Inputs(Interface):
    name: Name = about("A name.", group="General", label="Name", Default="demo")

class Outputs(Interface):
    vpc_id: VpcId = about("The network.")

def define(t: Template, inputs: Inputs) -> Outputs:
"""

GOOD = """
net = t.nest(network.define, network.Inputs(name=inputs.name))
t.nest(service.define, service.Inputs(vpc_id=net.vpc_id, subnet_ids=net.subnet_ids))
return Outputs(vpc_id=net.vpc_id)
"""


def source(body: str, doc: str = "A demo.") -> str:
    return f'"""{doc}"""\n{HEADER}\n{body}'


def parent_source(body: str) -> str:
    return source(PARENT_HEAD + textwrap.indent(body.strip(), "    ") + "\n")


Load = Callable[..., types.ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Turn source text into an importable module, for one test."""

    def loader(name: str, text: str) -> types.ModuleType:
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(text, name, "exec"), module.__dict__)  # noqa: S102 - our own text
        module.__doc__ = module.__dict__.get("__doc__")
        return module

    loader("demo_kinds", source(KINDS))
    loader("demo_network", source(NETWORK))
    loader("demo_service", source(SERVICE))
    return loader


def compiled(load: Load, body: str) -> Template:
    return Build().root(load("demo_parent", parent_source(body)).define)


def test_a_nested_stack_takes_arguments_and_returns_outputs(load: Load) -> None:
    network, service, parent = compiled(load, GOOD).walk()

    assert parent.document["Resources"]["DemoNetwork"]["Properties"] == {
        "TemplateURL": "demo-network.template.json",
        "Parameters": {"Name": {"Ref": "Name"}},
    }
    assert parent.document["Resources"]["DemoService"]["Properties"]["Parameters"] == {
        "VpcId": {"Fn::GetAtt": ["DemoNetwork", "Outputs.VpcId"]},
        "SubnetIds": {"Fn::GetAtt": ["DemoNetwork", "Outputs.SubnetIds"]},
    }
    assert network.document["Outputs"]["VpcId"]["Value"] == {"Ref": "Vpc"}
    assert service.document["Parameters"]["VpcId"]["Type"] == "String"


def test_a_list_crosses_as_one_string(load: Load) -> None:
    network, service, _ = compiled(load, GOOD).walk()

    assert network.document["Outputs"]["SubnetIds"]["Value"] == {
        "Fn::Join": [",", [{"Ref": "Vpc"}, "b"]]
    }
    assert service.document["Parameters"]["SubnetIds"]["Type"] == "CommaDelimitedList"


def test_only_the_root_has_constraints_and_defaults(load: Load) -> None:
    # A pattern in a child refuses the unresolved value that a nested change set
    # passes (aws-cloudformation/rain#526).
    network, _, parent = compiled(load, GOOD).walk()

    assert parent.document["Parameters"]["Name"]["AllowedPattern"] == "^[a-z]+$"
    assert parent.document["Parameters"]["Name"]["Default"] == "demo"
    assert network.document["Parameters"]["Name"].keys() == {"Type", "Description"}


def test_resources_have_a_purpose_and_a_reason(load: Load) -> None:
    network, _, parent = compiled(load, GOOD).walk()

    assert network.document["Resources"]["Vpc"]["Metadata"] == {
        "Purpose": "The network.",
        CONTEXT: {"why": "It must."},
    }
    stack = parent.document["Resources"]["DemoNetwork"]
    assert stack["Metadata"]["Purpose"] == network.document["Description"]


def test_one_template_is_nested_several_times_under_different_names(load: Load) -> None:
    body = GOOD.replace(
        "return",
        "t.nest(service.define, service.Inputs(vpc_id=net.vpc_id, "
        'subnet_ids=net.subnet_ids), name="Second")\nreturn',
    )
    *_, parent = templates = list(compiled(load, body).walk())

    assert len(templates) == 3
    resources = parent.document["Resources"]
    assert (
        resources["Second"]["Properties"]["TemplateURL"]
        == resources["DemoService"]["Properties"]["TemplateURL"]
    )


OPTIONAL = """
is_new = t.condition("IsNew", Equals(inputs.name, "new"))
net = t.nest_when(
    is_new,
    network.define,
    network.Inputs(name=inputs.name),
    otherwise=network.Outputs(vpc_id=VpcId("vpc-1"), subnet_ids=SubnetIds(["a", "b"])),
)
t.nest(service.define, service.Inputs(vpc_id=net.vpc_id, subnet_ids=net.subnet_ids))
return Outputs(vpc_id=net.vpc_id)
"""


def test_outputs_of_an_optional_stack_follow_its_condition(
    load: Load,
) -> None:
    *_, parent = compiled(load, OPTIONAL).walk()
    resources = parent.document["Resources"]

    assert resources["DemoNetwork"]["Condition"] == "IsNew"
    assert resources["DemoService"]["Properties"]["Parameters"] == {
        "VpcId": {
            "Fn::If": [
                "IsNew",
                {"Fn::GetAtt": ["DemoNetwork", "Outputs.VpcId"]},
                "vpc-1",
            ]
        },
        "SubnetIds": {
            "Fn::If": [
                "IsNew",
                {"Fn::GetAtt": ["DemoNetwork", "Outputs.SubnetIds"]},
                {"Fn::Join": [",", ["a", "b"]]},
            ]
        },
    }


RECORDS = """
from demo_kinds import Count, Name

class Both(Record):
    first: Name = about("The first.")
    second: Name = about("The second.")

class Inputs(Interface):
    both: Both = about("Two names.")

class Outputs(Interface):
    name: Name = about("A name.", public=True)

def define(t: Template, inputs: Inputs) -> Outputs:
    topic = t.add(sns.Topic("Topic", TopicName=inputs.both.second), "The topic.")
    return Outputs(name=Name(GetAtt(topic, "TopicName")))
"""


def test_a_child_declares_only_the_used_members_of_a_record(
    load: Load,
) -> None:
    load("demo_records", source(RECORDS))
    child, parent = (
        Build()
        .root(
            load(
                "demo_parent",
                source("""
import demo_records as records
from demo_kinds import Name

class Inputs(Interface):
    name: Name = about("A name.", group="General", label="Name")

class Outputs(Interface):
    pass

def define(t: Template, inputs: Inputs) -> Outputs:
    both = records.Both(first=inputs.name, second=Name("b"))
    t.nest(records.define, records.Inputs(both=both))
    t.condition("IsA", Equals(inputs.name, "a"))
    return Outputs()
"""),
            ).define
        )
        .walk()
    )

    assert list(child.document["Parameters"]) == ["BothSecond"]
    assert parent.document["Resources"]["DemoRecords"]["Properties"]["Parameters"] == {
        "BothSecond": "b"
    }


SETTINGS = """
from demo_kinds import Count, Name

class Settings(Record):
    name: Name = about("A name.", group="General", label="Name", Default="a")
    count: Count = about("A count.", group="Size", label="Count", Default=2, MaxValue=9)

class Inputs(Interface):
    settings: Settings = about("Settings.", flat=True)

class Outputs(Interface):
    pass

def define(t: Template, inputs: Inputs) -> Outputs:
    t.add(sns.Topic("Topic", TopicName=inputs.settings.name), "The topic.")
    return Outputs()
"""
SETTINGS_PARENT = """
import demo_settings
from demo_settings import Settings
from demo_kinds import Count, Name

class Inputs(Interface):
    settings: Settings = about("Settings.", flat=True)

class Outputs(Interface):
    pass

def define(t: Template, inputs: Inputs) -> Outputs:
    t.nest(demo_settings.define, demo_settings.Inputs(settings=inputs.settings))
    one = t.settings(
        Settings,
        **dict(prefix="one_", group="One", where="one"),
        defaults=DEFAULTS,
        fixed=FIXED,
    )
    t.condition("IsOne", Equals(one.name, USED))
    return Outputs()
"""


def settings_parent(
    load: Load, used: str, defaults: dict[str, object], fixed: dict[str, object]
) -> Template:
    load("demo_settings", source(SETTINGS))
    text = SETTINGS_PARENT.replace("USED", used)
    text = text.replace("DEFAULTS", repr(defaults)).replace("FIXED", repr(fixed))
    return Build().root(load("demo_parent", source(text)).define)


def test_settings_are_root_parameters_and_child_inputs(
    load: Load,
) -> None:
    child, parent = settings_parent(
        load, "inputs.settings.count", {"name": "b"}, {"count": 3}
    ).walk()

    assert child.document["Parameters"] == {
        "Name": {"Type": "String", "Description": "A name."}
    }
    parameters = parent.document["Parameters"]
    assert parameters["Count"]["Default"] == 2
    assert parameters["Count"]["MaxValue"] == 9
    assert parameters["OneName"]["Default"] == "b"
    assert "OneCount" not in parameters
    form = parent.document["Metadata"]["AWS::CloudFormation::Interface"]
    assert [group["Parameters"] for group in form["ParameterGroups"]] == [
        *(["Name"], ["Count"], ["OneName"]),
    ]


@pytest.mark.parametrize(
    ("used", "defaults", "fixed", "message"),
    [
        ("1", {}, {"count": 3}, "demo_parent.Inputs.settings.count: no resource, con"),
        ("inputs.settings.count", {}, {}, "demo_parent.Inputs.one_count: no resource"),
        ("one.count", {"nam": "b"}, {}, "one: nam: demo_settings.Settings has no such"),
        ("one.count", {"name": "B"}, {}, 'one: name: "B" '),
        ("one.count", {}, {"count": 10}, "one: count: 10 is too large. Write 9 or"),
        ("one.count", {"count": 3}, {"count": 3}, "one: count: a fixed setting has no"),
    ],
)
def test_settings_are_used_known_and_valid(
    used: str,
    defaults: dict[str, object],
    fixed: dict[str, object],
    message: str,
    load: Load,
) -> None:
    with pytest.raises(WiringError) as refused:
        settings_parent(load, used, defaults, fixed)
    assert message in str(refused.value)


def test_flat_names_are_unique(load: Load) -> None:
    clash = SETTINGS.replace(
        "class Outputs", '    name: Name = about("Another.")\n\nclass Outputs'
    )
    with pytest.raises(WiringError, match="2 values of the interface have this name"):
        Build().template(load("demo_settings", source(clash)).define)


def test_numbers_and_booleans_cross_as_strings(load: Load) -> None:
    # A stack's Parameters are strings; a bare number or boolean is refused.
    kinds = load("demo_kinds", source(KINDS))
    assert kinds.Count(2).crossing() == "2"
    assert kinds.Name(True).crossing() == "true"  # noqa: FBT003 - the value under test


def test_assets_are_relative_paths_with_their_digest(load: Load) -> None:
    runtime = AssetFile(path="assets/runtime.zip", content=b"zip", sha256="ab" * 32)
    module = load(
        "demo_parent",
        source("""
class Inputs(Interface):
    pass

class Outputs(Interface):
    pass

def define(t: Template, inputs: Inputs) -> Outputs:
    asset = t.asset("runtime")
    t.add(
        sns.Topic("Topic", TopicName=asset.bucket, DisplayName=asset.key),
        "A topic.",
        why="x",
    )
    t.condition("IsIt", Equals(asset.sha256, "x"))
    return Outputs()
"""),
    )
    document = Build({"runtime": runtime}).root(module.define).document

    assert document["Resources"]["Topic"]["Properties"] == {
        "TopicName": ASSET_BUCKET,
        "DisplayName": "assets/runtime.zip",
    }
    assert document["Conditions"]["IsIt"] == {"Fn::Equals": ["ab" * 32, "x"]}
    with pytest.raises(WiringError, match="no such file goes with the templates"):
        Build().root(module.define)


@dataclass(frozen=True)
class Mistake:
    """One way to get a wire wrong, and what both judges say."""

    name: str
    body: str
    build_says: str
    mypy_says: str


MISTAKES = (
    Mistake(
        "a misspelt output",
        GOOD.replace(
            "return Outputs(vpc_id=net.vpc_id)", "return Outputs(vpc_id=net.vcp_id)"
        ),
        "demo_network.Outputs.vcp_id: there is no such field. Did you mean vpc_id?",
        'has no attribute "vcp_id"',
    ),
    Mistake(
        "a missing input",
        GOOD.replace(", subnet_ids=net.subnet_ids", ""),
        "demo_service.Inputs.subnet_ids: it has no value. "
        "Write subnet_ids=... with a SubnetIds",
        'Missing named argument "subnet_ids"',
    ),
    Mistake(
        "an unknown input",
        GOOD.replace("subnet_ids=net", "subnets_ids=net"),
        "demo_service.Inputs.subnets_ids: there is no such field. "
        "Did you mean subnet_ids?",
        'Unexpected keyword argument "subnets_ids"',
    ),
    Mistake(
        "a wrong kind of value",
        GOOD.replace("vpc_id=net.vpc_id, subnet", "vpc_id=net.subnet_ids, subnet"),
        "demo_service.Inputs.vpc_id: a VpcId belongs here, not a SubnetIds",
        'has incompatible type "SubnetIds"; expected "VpcId"',
    ),
    Mistake(
        "another stack's inputs",
        GOOD.replace(
            "nest(service.define, service.Inputs(",
            "nest(network.define, service.Inputs(",
        ),
        "demo-parent nests demo-network: its inputs are not demo_service.Inputs. "
        "Write demo_network.Inputs(...)",
        "incompatible type",
    ),
    Mistake(
        "an output never returned",
        GOOD.replace("Outputs(vpc_id=net.vpc_id)", "Outputs()"),
        "demo_parent.Outputs.vpc_id: it has no value",
        'Missing named argument "vpc_id"',
    ),
    Mistake(
        "a return that is not this template's",
        GOOD.replace("return Outputs(vpc_id=net.vpc_id)", "return net"),
        "demo-parent.define: it returned a demo_network.Outputs",
        "Incompatible return value type",
    ),
    Mistake(
        "an alternative of another kind",
        OPTIONAL.replace('vpc_id=VpcId("vpc-1")', 'vpc_id=Name("vpc-1")'),
        "demo_network.Outputs.vpc_id: a VpcId belongs here, not a Name",
        'has incompatible type "Name"; expected "VpcId"',
    ),
    Mistake(
        "a choice between two kinds",
        GOOD.replace(
            "net = ",
            'c = t.condition("IsA", Equals(inputs.name, "a"))\n'
            'x: VpcId = choose(c, VpcId("a"), Name("b"))\nnet = ',
        ),
        "choose(IsA): a VpcId and a Name are different types",
        'expression has type "Value", variable has type "VpcId"',
    ),
)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.name)
def test_the_build_refuses(mistake: Mistake, load: Load) -> None:
    with pytest.raises(WiringError) as refused:
        compiled(load, mistake.body)
    assert mistake.build_says in str(refused.value)


@pytest.fixture(scope="module")
def mypy_reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What mypy --strict says of each mistake, by module; the good one included."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "demo_kinds.py").write_text(source(KINDS))
    (folder / "demo_network.py").write_text(source(NETWORK))
    (folder / "demo_service.py").write_text(source(SERVICE))
    (folder / "case_good.py").write_text(parent_source(GOOD))
    for number, mistake in enumerate(MISTAKES):
        (folder / f"case_{number}.py").write_text(parent_source(mistake.body))
    run = subprocess.run(  # noqa: S603 - our own interpreter
        [
            *(sys.executable, "-m", "mypy", "--strict", "--no-error-summary"),
            *("--config-file", str(ROOT / "pyproject.toml")),
            *("--cache-dir", str(ROOT / ".mypy_cache")),
            *sorted(str(path) for path in folder.glob("*.py")),
        ],
        cwd=ROOT,
        env={"MYPYPATH": f"{folder}:{ROOT}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not run.stderr, run.stderr
    lines = sorted(run.stdout.splitlines(), key=_module)
    return {
        module: "\n".join(group) for module, group in itertools.groupby(lines, _module)
    }


def _module(line: str) -> str:
    return Path(line.partition(":")[0]).stem


def test_mypy_accepts_correct_wiring(mypy_reports: dict[str, str]) -> None:
    assert "case_good" not in mypy_reports, mypy_reports["case_good"]


@pytest.mark.parametrize("number", range(len(MISTAKES)), ids=lambda n: MISTAKES[n].name)
def test_mypy_refuses(number: int, mypy_reports: dict[str, str]) -> None:
    assert MISTAKES[number].mypy_says in mypy_reports.get(f"case_{number}", "nothing")


def test_an_input_never_used_is_refused(load: Load) -> None:
    load(
        "demo_service",
        source(
            SERVICE.replace(
                'about("In which subnets.")',
                'about("In which subnets.")\n    size: Count = about("How many.")',
            )
        ),
    )
    with pytest.raises(WiringError) as refused:
        compiled(
            load,
            GOOD.replace(
                "subnet_ids=net.subnet_ids", "subnet_ids=net.subnet_ids, size=Count(1)"
            ),
        )
    assert (
        "demo_service.Inputs.size: no resource, condition or output of demo-service "
        "uses it. Use it or delete the field"
    ) in str(refused.value)


def test_an_unread_output_is_refused_unless_public(load: Load) -> None:
    load("demo_service", source(SERVICE.replace(", public=True", "")))
    with pytest.raises(WiringError) as refused:
        compiled(load, GOOD)
    assert "demo_service.Outputs.name: nothing in demo-parent reads it" in str(
        refused.value
    )


def test_a_default_in_a_nested_template_is_refused(load: Load) -> None:
    text = NETWORK.replace('is called.")', 'is called.", Default="x")')
    load("demo_network", source(text))
    with pytest.raises(WiringError, match="its own Default"):
        compiled(load, GOOD)


def test_two_nested_stacks_of_one_name_are_refused(load: Load) -> None:
    again = "t.nest(network.define, network.Inputs(name=inputs.name))\nreturn"
    with pytest.raises(WiringError, match="two nested stacks have this name"):
        compiled(load, GOOD.replace("return", again))


def test_a_root_parameter_has_a_place_in_the_form(load: Load) -> None:
    text = parent_source(GOOD).replace('group="General", ', "")
    with pytest.raises(WiringError, match="its place in the console's form"):
        Build().root(load("demo_parent", text).define)


def test_value_types_accept_unresolved_values(load: Load) -> None:
    with pytest.raises(WiringError, match="not a type that every stack can take"):
        load(
            "demo_more",
            source('class Zone(Value, type="AWS::EC2::VPC::Id"):\n    pass'),
        )


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"Ref": "A"}, [("A", "")]),
        ({"Fn::GetAtt": ["A", "Outputs.B"]}, [("A", "Outputs.B")]),
        ({"Fn::Sub": "${A} ${B.C} ${!D}"}, [("A", ""), ("B", "C")]),
        ({"Fn::Sub": ["${A} ${x}", {"x": {"Ref": "B"}}]}, [("A", ""), ("B", "")]),
        ([{"a": {"Ref": "A"}}, "Ref", 1, None], [("A", "")]),
    ],
)
def test_references_are_found_in_every_form(document: Any, expected: Any) -> None:
    assert list(references(document)) == expected


def test_the_same_input_gives_the_same_bytes(load: Load) -> None:
    assert compiled(load, GOOD).text() == compiled(load, GOOD).text()
