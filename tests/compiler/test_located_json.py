"""JSON with line numbers: as strict as the standard library, and kinder."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from compiler.located_json import (
    DEPTH,
    JsonObject,
    JsonText,
    MalformedJsonError,
    parse,
    quoted,
)

DOCUMENTS: st.SearchStrategy[str] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
).map(json.dumps)


@st.composite
def nearly_json(draw: st.DrawFn) -> str:
    """JSON in which one piece was replaced by a character or by nothing."""
    text = draw(DOCUMENTS)
    cut = draw(st.integers(0, len(text)))
    piece = draw(st.sampled_from(["", *'{}[]:,"\\/-0.5e \n\ttfn\u00a0\ufeff']))
    return f"{text[:cut]}{piece}{text[cut + draw(st.integers(0, 2)) :]}"


@given(nearly_json() | st.text())
@example("NaN")
@example("-Infinity")
@example('{"a": 1e999}')
def test_the_same_texts_are_json_here_and_in_the_standard_library(text: str) -> None:
    def no_constants(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=no_constants)
        is_json = True
    except ValueError:
        is_json = False
    try:
        parse(text)
        parses = True
    except MalformedJsonError:
        parses = False

    assert parses == is_json


def test_key_has_line_and_column() -> None:
    document = parse('{\n  "A": "1",\r\n\n    "B": "2"\n}')

    assert isinstance(document, JsonObject)
    assert [(key.text, key.line, key.column) for key, _ in document.members] == [
        ("A", 2, 3),
        ("B", 4, 5),
    ]


def test_duplicate_keys_are_both_kept() -> None:
    # json.loads keeps the last, so a typing error in production went unseen.
    document = parse('{"A": "1", "A": "2"}')

    assert isinstance(document, JsonObject)
    assert [
        value.text for _, value in document.members if isinstance(value, JsonText)
    ] == [
        "1",
        "2",
    ]


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(MalformedJsonError, match=f"more than {DEPTH} deep"):
        parse("[" * 100_000)


@pytest.mark.parametrize(
    ("text", "place", "what", "remedy"),
    [
        ("", (1, 1), "The file is empty.", 'Write {"Parameters": {}}.'),
        ('{"A": "1",}', (1, 10), "A comma stands before }", "Delete the comma"),
        ('{"A": "1"\n "B": "2"}', (1, 10), "A comma is missing", "Write it."),
        ('{"A" "1"}', (1, 5), 'A colon is missing after "A".', 'Write "A": and'),
        ('{\n "A": "1"', (2, 10), "the { of line 1 is open", "Write } at its end."),
        ('{"A": "1}', (1, 7), "no closing double quote", "Write the closing"),
        ("{'A': '1'}", (1, 2), "' does not quote text", 'Write " instead.'),
        ('{"A": “1”}', (1, 7), "“ does not quote text", 'Write " instead.'),
        ('{"A": True}', (1, 7), "True is not a word of JSON.", 'Write "true".'),
        ('{"A": 10.0.0.0/16}', (1, 7), "not in double quotes", 'Write "10.0.0.0/16".'),
        ("{A: 1}", (1, 2), '"A" is not in double quotes.', 'Write "A".'),
        ('{"A": "1"} // no', (1, 12), "This is a comment", "Delete it."),
        ('# no\n{"A": "1"}', (1, 1), "This is a comment", "Delete it."),
        (r'{"A": "\d+"}', (1, 7), "begins no escape", r"Write \\ for"),
        ('{"A": "1\t2"}', (1, 7), "A tab stands", r"Write \t"),
        ('{"A": "1"}}', (1, 11), "after the end", "Delete it"),
        ('{"A": ["1"}', (1, 11), '"}" stands where a comma or ] belongs.', "Write a"),
        ('{"A": }', (1, 7), '"}" stands where a value belongs.', "Write the value"),
        ('{"A":\n', (2, 1), "ends where a value belongs", "Write it."),
        ('{"A": 01}', (1, 7), '"01" is not in double quotes.', 'Write "01".'),
    ],
)
def test_mistake_has_place_problem_and_remedy(
    text: str, place: tuple[int, int], what: str, remedy: str
) -> None:
    with pytest.raises(MalformedJsonError) as caught:
        parse(text)

    assert (caught.value.line, caught.value.column) == place
    assert what in caught.value.what
    assert remedy in caught.value.remedy


def test_a_mistake_shows_the_line() -> None:
    with pytest.raises(MalformedJsonError) as caught:
        parse('{\n  "A": "1"\n  "B": "2"\n}')

    assert caught.value.why == 'The line reads `"A": "1"`.'


def test_a_mistake_far_to_the_right_shows_the_text_around_it() -> None:
    with pytest.raises(MalformedJsonError) as caught:
        parse(f'{{"A": "{"x" * 500}", "Here": no}}')

    assert '"Here": no' in caught.value.why
    assert len(caught.value.why) < 100


@given(st.text())
def test_quoted_text_is_short_and_printable(text: str) -> None:
    shown = quoted(text)

    assert shown.isprintable()
    assert len(shown) <= 2 + 60 * len(r"\ud83d\ude00")
