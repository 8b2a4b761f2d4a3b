"""Names and words that were replaced do not return: plain technical English.

A word here is wrong everywhere in code and documentation. Words with a legitimate use
(page, engine, order) are left to review. Golden files and licences follow other texts,
and a changelog keeps its history.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUFFIXES = (".py", ".md", ".toml", ".yml", ".yaml")
UNCHECKED = re.compile(r"tests/golden/|LICENSE|CHANGELOG\.md|tests/test_vocabulary\.py")

# Plain words and phrases, matched in lower case and as whole words. The words of an
# identifier count: has_brain, HasBrain and HAS_BRAIN all hold "brain".
WORDS = {
    "autoscaler": ("brain", "brains"),
    "pool state": ("crew", "crews"),
    "forecast": ("foresee", "foresees", "foreseen", "foreseer", "foresight"),
    "burst, unannounced": ("gust", "gusts", "strangers"),
    "order, post-deployment": ("pulse", "pulses", "aftermath"),
    "load balancer": ("door", "doors"),
    "environment": ("estate", "estates"),
    "design rule, import contract": ("house", "walls"),
    "mutation, fixture": ("bite", "bites", "toy", "toys"),
    "stub": ("stand in", "stand ins", "stands in for", "stood in for"),
    "patch, module": ("shim", "shims", "seam", "seams"),
    "check, pass": (
        "proof",
        "proofs",
        "prove",
        "proves",
        "proved",
        "proven",
        "proving",
    ),
    "acceptance check": (
        *("rehearse", "rehearses", "rehearsed", "rehearsal", "rehearsals"),
        "rehearsing",
    ),
    "a noun": ("whoever", "whomever", "somebody", "nobody", "anybody", "everybody"),
    "again": ("anew",),
    "release": ("let go", "lets go", "letting go"),
    "own, of the stack": ("of ours",),
    "the fact": ("what all else", "is told what", "are told what", "is told of"),
    "parameter": ("knob", "knobs"),
    "prompt, request": ("asking",),
    "supervisor": ("keeper", "keepers"),
    "migration": ("gate", "gates"),
    "diagnoser, deletion plan": ("detective", "detectives", "fate", "fates"),
    "offline optimum, baseline": ("clairvoyant", "clairvoyance", "rival", "rivals"),
    "fallback minimum": ("safe floor", "safe floors"),
    "predictive scaling": ("look ahead", "lookahead"),
    "internet access": ("way out", "ways out"),
    "enable execute command": ("allows exec",),
    "enable backup": ("has backup plan",),
    "ephemeral storage": ("scratch gib",),
    "target start seconds": ("objective seconds",),
    "scale-in delay": ("hold seconds",),
    "Fernet key rotation": ("fernet slots",),
}
# Names of classes, functions and constants, as they stand outside of text. Not those
# that another package uses with reason: Figure, Setting, Stage, Watch.
NAMES = {
    "Parameters": ("Choices",),
    "TaskContext": ("Site",),
    "Template": ("Page", "PageName", "compile_pages"),
    "SecretVar": ("Injected",),
    "components": ("Audience",),
    "security-group rules": ("EDGES", "Party"),
    "reconciler": ("Rounds",),
    "ProtectionState, Intent": ("Life", "Wish", "Gone", "Guard"),
    "DestroyOptions, STATEFUL_TYPES": ("Wishes", "HOLDERS"),
    "container host": ("Machine",),
    "ServiceState, AlarmState, ScalingConfig": ("Kept", "Moving", "Asked", "Launched"),
    "CheckFailed, Skipped": ("NotProven", "LeftOut"),
    "ResolvedEnvironment, Mutation": ("Estate", "Estates", "Break", "BREAKS"),
}

# Names of variables and parameters that say when a value came about, not what it is.
PARTICIPLES = frozenset(
    {
        "one",
        "found",
        "given",
        "asked",
        "wanted",
        "kept",
        "told",
        "made",
        "chosen",
        "seen",
    }
)

# Where a word may stand all the same: path, word, and the reason.
EXCEPTIONS = (
    (
        "local/datastores/processes.py",
        "nobody",
        "The name of a Unix user.",
    ),
    (
        "templates/airflow/routes.py",
        "look ahead",
        "The regular expressions of a load balancer have none.",
    ),
)

ALL_WORDS = tuple(word for words in WORDS.values() for word in words)
ALL_NAMES = frozenset(name for names in NAMES.values() for name in names)
LITERAL = re.compile(r'"""(?:.|\n)*?"""|"(?:\\.|[^"\\\n])*"|#[^\n]*')


def tracked_files() -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files"],  # noqa: S607 - git on the path
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [
        path
        for path in listing
        if (path.endswith(SUFFIXES) or path == "Makefile")
        and not UNCHECKED.match(path)
        and (ROOT / path).is_file()
    ]


def separated(text: str) -> str:
    """Return text in lower case, with the words of its identifiers apart."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return re.sub(r"[-_]", " ", text).lower()


def replaced_words(text: str) -> Iterator[re.Match[str]]:
    """Yield each replaced word in a text that ``separated`` returned."""
    tokens = set(re.findall(r"[a-z]+", text))
    words = [word for word in ALL_WORDS if tokens.issuperset(word.split())]
    if words:
        yield from re.finditer(rf"(?<![a-z])(?:{'|'.join(words)})(?![a-z])", text)


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def names(text: str) -> Iterator[tuple[int, str]]:
    """Yield the replaced names in a module, by line."""
    identifiers = set(re.findall(r"\w+", LITERAL.sub("", text)))
    if identifiers.isdisjoint(ALL_NAMES | PARTICIPLES):
        return
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) if name in PARTICIPLES:
                yield node.lineno, name
            case ast.arg(arg=name) | ast.ExceptHandler(name=name) if (
                name in PARTICIPLES
            ):
                yield node.lineno, name
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in ALL_NAMES:
                yield node.lineno, name
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) if (
                name in ALL_NAMES
            ):
                yield node.lineno, name


@cache
def occurrences(path: str) -> tuple[tuple[int, str], ...]:
    """Return the line and the word of each hit in a file; line 0 is its path."""
    text = (ROOT / path).read_text()
    hits = [(0, match[0]) for match in replaced_words(separated(path))]
    words = separated(text)
    hits += [
        (line_of(words, match.start()), match[0]) for match in replaced_words(words)
    ]
    if path.endswith(".py"):
        hits += names(text)
    return tuple(hits)


def hits() -> Iterator[tuple[str, int, str]]:
    """Yield path, line and word of all that has to be worded otherwise."""
    excepted = {(path, word) for path, word, _ in EXCEPTIONS}
    for path in tracked_files():
        for line, word in occurrences(path):
            if (path, word) not in excepted:
                yield path, line, word


def test_replaced_words_do_not_return() -> None:
    listing = [f"{path}:{line}: {word}" for path, line, word in hits()]
    assert not listing, "\n".join(listing)


def test_exceptions_are_needed() -> None:
    for path, word, reason in EXCEPTIONS:
        assert reason.endswith("."), (path, word)
        assert word in {word for _, word in occurrences(path)}, (path, word)
