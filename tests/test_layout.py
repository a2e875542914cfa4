"""The tree keeps its shape: small files, packages that say what they are, tests where one looks."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ROOT / "only1mcp"
UNIT = ROOT / "tests" / "unit"
MAX_LINES = 400
SOURCES = sorted(
    path
    for folder in ("only1mcp", "tests", "benchmarks", "scripts")
    for ending in ("py", "pyx", "pxd")
    for path in (ROOT / folder).rglob(f"*.{ending}")
)
PACKAGES = sorted(PRODUCT.rglob("__init__.py"))
UNIT_TESTS = sorted(UNIT.rglob("test_*.py"))


def named(path: Path) -> str:
    """Return a path as a person writes it."""
    return str(path.relative_to(ROOT))


def test_no_file_is_longer_than_anybody_reads() -> None:
    """A file of more than 400 lines is two files."""
    lengths = {named(path): len(path.read_bytes().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}
    assert len(lengths) > 100


@pytest.mark.parametrize("path", PACKAGES, ids=named)
def test_every_package_says_what_it_is(path: Path) -> None:
    """In a docstring of at least a sentence."""
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said is not None
    assert said.endswith(".")
    assert len(said) > 20


@pytest.mark.parametrize("path", UNIT_TESTS, ids=named)
def test_every_unit_test_stands_where_its_module_stands(path: Path) -> None:
    """`tests/unit/a/test_b.py` is about `only1mcp/a/b.py`, and nothing else."""
    module = PRODUCT / path.relative_to(UNIT).parent / path.name.removeprefix("test_")
    assert module.is_file(), f"there is no {named(module)}"
    assert (path.parent / "__init__.py").is_file()


@pytest.mark.parametrize("path", UNIT_TESTS, ids=named)
def test_every_test_is_a_sentence_with_a_docstring(path: Path) -> None:
    """The name says what the product does, the docstring says when or why."""
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]
    assert functions
    for function in functions:
        assert function.name.count("_") >= 3, function.name
        assert ast.get_docstring(function), function.name


def test_the_tests_use_no_mocks_and_excuse_no_failure() -> None:
    """Fakes implement the interface; a bug is corrected, not expected."""
    forbidden = re.compile(r"unittest[.]mock|from unittest|(?:mark|pytest)[.]xfail")
    others = [path for path in SOURCES if path != Path(__file__)]
    guilty = [named(path) for path in others if forbidden.search(path.read_text())]
    assert guilty == []
