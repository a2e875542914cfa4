"""Does a URI come from a template?"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.protocol.uri_template import compile_template

MATCHES = [
    ("test://template/{id}/data", "test://template/7/data"),
    ("test://template/{id}/data", "test://template//data"),
    ("file:///{+path}", "file:///a/b/c.txt"),
    ("db://{table}/{row}", "db://users/7"),
    ("x://{a}{b}", "x://ab"),
    ("x://a{?q,r}", "x://a?q=1&r=2"),
    ("x://a{?q}", "x://a"),
    ("x://a?z=1{&q}", "x://a?z=1&q=2"),
    ("x://a{#part}", "x://a#b"),
    ("x://a{.ext}", "x://a.txt"),
    ("x://a{/path*}", "x://a/b/c"),
    ("x://a{;p}", "x://a;p=1"),
    ("x://{name}.(x)", "x://a.(x)"),
    ("x://{a}\n{b}", "x://1\n2"),
    ("plain://x", "plain://x"),
]
OTHERS = [
    ("test://template/{id}/data", "test://template/7/8/data"),
    ("test://template/{id}/data", "test://template/7/data/"),
    ("test://template/{id}/data", "test://template/a?b/data"),
    ("db://{table}", "DB://users"),
    ("x://{name}.txt", "x://aQtxt"),
    ("plain://x", "plain://xy"),
    ("x://a{?q}", "x://ab"),
]


@pytest.mark.parametrize(("template", "uri"), MATCHES)
def test_an_expansion_of_the_template_matches(template: str, uri: str) -> None:
    """As far as RFC 6570 is used by resource templates."""
    assert compile_template(template).matches(uri)


@pytest.mark.parametrize(("template", "uri"), OTHERS)
def test_another_uri_does_not_match(template: str, uri: str) -> None:
    """Literals are literal, and a simple expression stops at a slash."""
    assert not compile_template(template).matches(uri)


@pytest.mark.parametrize("template", ["{", "}", "{}", "{+}", "a{b", "x://{a}}", "[a-z]*", "\\d"])
def test_a_malformed_template_is_no_accident(template: str) -> None:
    """A server may send anything; what is no expression stands for itself."""
    assert compile_template(template).matches("file:///etc/passwd") is False


def test_a_hostile_template_costs_no_more_than_its_length() -> None:
    """Many wild cards on a long URI are decided without trying all ways to share it out."""
    template = "x://" + "{+a}/" * 30 + "end"
    assert compile_template(template).matches("x://" + "/" * 40 + "end")
    assert not compile_template(template).matches("x://" + "/" * 2000)


@pytest.mark.parametrize(
    ("template", "uri"), [("x{+a}" * 40, "x" * 40), ("x://{+a}", "x://" + "y" * 5000)]
)
def test_what_no_server_means_is_not_matched(template: str, uri: str) -> None:
    """Dozens of expressions and URIs of many thousand letters are left to the other ways."""
    assert not compile_template(template).matches(uri)


LETTERS = "ab/?#.;&"
PARTS = st.lists(st.sampled_from(["a", "/", "{x}", "{+x}", "{#x}", "{.x}", "{/x}", "{;x}", "{?x}",
                                  "{&x}", "b"]), max_size=6)  # fmt: skip
AS_PATTERN = {
    "": r"[^/?#]*", "+": r".*", "#": r"(?:#.*)?", ".": r"(?:\.[^/?#]*)?", "/": r"(?:/[^?#]*)?",
    ";": r"(?:;[^/?#]*)?", "?": r"(?:\?[^#]*)?", "&": r"(?:&[^#]*)?",
}  # fmt: skip


@given(PARTS, st.text(LETTERS, max_size=10))
def test_the_walk_agrees_with_a_regular_expression(parts: list[str], uri: str) -> None:
    """On short input, where backtracking does no harm, both say the same."""
    pattern = "".join(
        AS_PATTERN[part[1:-2]] if part.startswith("{") else re.escape(part) for part in parts
    )
    expected = re.fullmatch(pattern, uri, re.DOTALL) is not None
    assert compile_template("".join(parts)).matches(uri) is expected
