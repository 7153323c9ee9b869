"""Ant patterns as SolarNetwork reads them, and that no pattern is slow."""

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.formats.ant_patterns import MAX_PATTERN, Matcher, compile_pattern
from wattwire.model import RefusedError

CASES = [
    ("src/*.js", "src/file.js", True),
    ("src/*.js", "src/subdir/file.js", False),
    ("src/**/*.js", "src/file.js", True),
    ("src/**/*.js", "src/subdir/nested/file.js", True),
    ("src/**/foo", "src/foo", True),
    ("src/**/foo", "src/nahfoo", False),
    ("src/**/foo", "src/a/b/foo", True),
    ("src/**", "src/a/b", True),
    ("src/**", "src", False),
    ("src/?.js", "src/a.js", True),
    ("src/?.js", "src/abc.js", False),
    ("src/?.js", "src//.js", False),
    ("src/[abc].js", "src/[abc].js", True),
    ("src/[abc].js", "src/a.js", False),
    ("src/*/test?.js", "src/dir/test1.js", True),
    ("src/*/test?.js", "src/test1.js", False),
    ("**/*.js", "file.js", False),
    ("**/*.js", "a/file.js", True),
    ("/power/1", "/power/1", True),
    ("/power/1", "/power/10", False),
    ("/Power/1", "/power/1", False),
    ("/power/*", "/power/", True),
    ("/power/*", "/power/1/x", False),
    ("**", "", True),
    ("a.c", "abc", False),
    ("a/**/**/b", "a/x/b", True),
    ("a/**/**/b", "a/b", False),  # only the first /**/ may be a single slash
    ("!$()+:<=>^{|}-\\", "!$()+:<=>^{|}-\\", True),
    ("a*", "a\nb", True),
]


def as_regex(pattern):
    """The documented translation, word for word: escape, ?, *, **, and last /.*/."""
    text = re.sub(r"[!$()+.:<=>\[\\\]^{|}\-]", lambda m: "\\" + m[0], pattern)
    text = text.replace("?", "[^/]")
    text = re.sub(r"\*{2,}|\*", lambda m: "[^/]*" if len(m[0]) == 1 else ".*", text)
    return re.compile(text.replace("/.*/", "(/|/.*/)"), re.DOTALL)


@pytest.mark.parametrize(("pattern", "path", "expected"), CASES)
def test_the_cases_of_the_contract(pattern, path, expected):
    """SolarNetwork's own test cases, the consequences computed from them, and a few more."""
    assert compile_pattern(pattern).matches(path) is expected
    assert bool(as_regex(pattern).fullmatch(path)) is expected


@given(st.text("ab/*?.", min_size=1, max_size=10), st.text("ab/.", max_size=10))
def test_it_says_what_the_documented_translation_says(pattern, path):
    """For any pattern and path, the answer is that of the translation into a regular expression."""
    assert compile_pattern(pattern).matches(path) is bool(as_regex(pattern).fullmatch(path))


@pytest.mark.parametrize("pattern", ["", "x" * (MAX_PATTERN + 1)])
def test_patterns_have_a_length(pattern):
    """An empty pattern and one over 255 characters are refused."""
    with pytest.raises(RefusedError, match="1 to 255 characters"):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", ["**a" * 85, "/**" * 85, "*?" * 127, "**/" * 85, "*a" * 127])
def test_a_wicked_pattern_costs_a_step_per_character(pattern):
    """A pattern that is exponential as a regular expression takes one step per character here."""
    matcher = compile_pattern(pattern)
    steps = 0

    def count(_frame, event, _arg):
        nonlocal steps
        steps += event == "call"

    path = "/a" * 1000 + "b"
    sys.setprofile(count)
    try:
        assert matcher.matches(path) in (True, False)
    finally:
        sys.setprofile(None)
    assert steps <= 2 * len(path) + 5


def test_a_matcher_says_what_it_is():
    """A matcher shows its pattern."""
    assert repr(compile_pattern("/a/*")) == "Matcher('/a/*')"
    assert isinstance(compile_pattern("a"), Matcher)
