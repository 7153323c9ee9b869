"""Configuration files: read as people mean them, within bounds; written so that they come back."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from wattwire.cli.documents import DocumentError, read_document, write_document

TEXTS = st.text(max_size=12) | st.sampled_from(
    ["yes", "no", "on", "null", "~", "", "12:30", "1e5", "1_000", "0x1f", "0o7", "2025-06-01", "=",
     "<<", "- a", "a: b", "#x", "&a", "*a", "!t", "| x", "a\nb\n", "\n", " x ", "\u2028", "\x85",
     "\ttab", "'", '"', "%", "@", "`", ".5", "-", "?", "NaN", ".inf", "a\r\nb", "\ufeff"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=3))
def test_what_is_written_is_read_back(document):
    """Any JSON value survives, types included: 1 stays a number, "1" a text."""
    text = write_document(document)
    found = read_document(text.encode())

    assert document == found
    assert repr(document) == repr(found)


@given(st.dictionaries(st.text("abc", min_size=1), TEXTS, min_size=1))
def test_readers_of_older_yaml_read_the_same(document):
    """`yes` and `12:30` are quoted, for programs that would make something else of them."""
    assert document == yaml.safe_load(write_document(document))


def test_keys_are_readable():
    """A text of several lines, such as a key in PEM, is a block."""
    assert "a: |\n  one\n  two\n" == write_document({"a": "one\ntwo\n"})


@pytest.mark.parametrize(
    "text", ["yes", "on", "off", "12:30", "2025-06-01", "1_000", "0x1f", "0o7"]
)
def test_words_are_texts(text):
    """Only true, false, null and decimal numbers are anything else."""
    assert {"a": text} == read_document(f"a: {text}".encode())


def test_aliases_may_be_used():
    """What is said once may be meant twice."""
    assert {"a": {"x": 1}, "b": {"x": 1}} == read_document(b"a: &one {x: 1}\nb: *one\n")


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "more than 1,000,000 values"),
        ("a: &a [*a]", "part of"),
        ("a: " + "[" * 100 + "]" * 100, "nested deeper"),
        ("a: " + "{a: " * 100 + "}" * 100, "nested deeper"),
        ("a: " * 5000, "mapping values are not allowed"),
        ("a: 1\na: 2", "line 2: a is there twice"),
        ("1: 2", "line 1: a name must be a text"),
        ("? [a]\n: 2", "must be a text"),
        ("a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("a: !!binary aGk=", "could not determine a constructor"),
        ("a: !!set {x}", "could not determine a constructor"),
        ("a: !!timestamp 2025-01-01", "could not determine a constructor"),
        ("a: !!int x", "invalid literal"),
        ("a: 1\n---\nb: 2", "expected a single document"),
        ("- a", "must be a mapping"),
        ("", "must be a mapping"),
        ("a: \x07", "unacceptable character"),
        ("a: [", "expected the node content"),
        ("x" * (16 * 1024 * 1024 + 1), "larger than 16 MiB"),
    ],
)  # fmt: skip
def test_what_is_no_document_is_explained(text, said):
    """Bombs, code, dates and doubles are refused in a sentence, at once."""
    with pytest.raises(DocumentError, match=said):
        read_document(text.encode())


def test_bytes_that_are_no_text_are_refused():
    """UTF-8 only."""
    with pytest.raises(DocumentError, match="UTF-8"):
        read_document(b"a: \xff")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text("a:-[]{}&*!|>\n #'\"", max_size=40).map(str.encode))
def test_any_bytes_give_a_document_or_the_error(raw):
    """Nothing else comes of anything."""
    try:
        found = read_document(raw)
    except DocumentError:
        return
    assert isinstance(found, dict)
