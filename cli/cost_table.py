"""The table of costs in the README, from the templates and two parameter files."""

from __future__ import annotations

import json
import re

from cli.product import ROOT, ROOT_TEMPLATE
from cloudformation import costs
from compiler.wiring import Template

PATH = "README.md"
ENVIRONMENTS = ("dev", "prod")
REGION = costs.REGIONS[0]

BEGIN, END = "<!-- costs: make reference writes this table -->", "<!-- end -->"
TABLE = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)


def page(root: Template) -> str:
    """Return the README with the table for the compiled templates."""
    text = (ROOT / PATH).read_text()
    return TABLE.sub(lambda _match: f"{BEGIN}\n{table(root)}\n{END}", text)


def table(root: Template) -> str:
    """Return the costs at rest of each environment, by group."""
    templates = {template.path: template.document for template in root.walk()}
    columns = []
    for name in ENVIRONMENTS:
        file = ROOT / "parameters" / f"{name}.json"
        values = json.loads(file.read_text())["Parameters"]
        tree = costs.tree(templates, ROOT_TEMPLATE, values, REGION)
        columns.append(costs.lines(tree))
    rows = [
        ("At rest, USD a month", *ENVIRONMENTS),
        ("---", *("---:" for _ in ENVIRONMENTS)),
        *(
            (
                group,
                *(
                    _dollars([line for line in lines if line.group == group])
                    for lines in columns
                ),
            )
            for group in costs.GROUPS
        ),
        ("Together", *map(_dollars, columns)),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _dollars(lines: list[costs.CostLine]) -> str:
    return f"{costs.summed(lines, REGION):,.0f}"
