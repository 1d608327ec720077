"""Sizes and names of files, and what may not stand in them."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house.tree import files, name, parsed, python

PYTHON_LINES, FUNCTION_LINES, TSX_LINES = 600, 60, 250
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NOBODYS_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|base|manager|misc)$")
TEXT = {
    ".py",
    ".ts",
    ".tsx",
    ".css",
    ".md",
    ".toml",
    ".proto",
    ".json",
    ".html",
    ".yml",
    ".yaml",
    ".sh",
    ".in",
    ".txt",
    "",
}
# Folders of one machine have no place in a project that is cloned to others.
MACHINE = re.compile(r"(?<![\w./-])/(work|root|home/[a-z]+)/")


def test_no_python_file_is_too_long():
    long = {
        name(p): n
        for p in python("src", "tests", "migrations", "benchmarks")
        if (n := len(p.read_text().splitlines())) > PYTHON_LINES
    }
    assert long == {}


def test_no_screen_file_is_too_long():
    long = {
        name(p): n
        for p in files()
        if p.suffix == ".tsx"
        and ".test." not in p.name
        and (n := len(p.read_text().splitlines())) > TSX_LINES
    }
    assert long == {}


def own_lines(node: ast.AST) -> int:
    """The lines of a function without those of the functions inside it."""
    inside = [n for n in ast.walk(node) if n is not node and isinstance(n, FUNCTIONS)]
    lines = set(range(node.lineno, (node.end_lineno or 0) + 1))  # type: ignore[attr-defined]
    for one in inside:
        lines -= set(range(one.lineno, (one.end_lineno or 0) + 1))
    return len(lines)


def test_no_function_is_too_long():
    long = {
        f"{name(p)}:{node.name}": lines
        for p in python("src")
        for node in ast.walk(parsed(p))
        if isinstance(node, FUNCTIONS) and (lines := own_lines(node)) > FUNCTION_LINES
    }
    assert long == {}


def test_every_file_is_named_for_what_it_is():
    vague = [
        name(p)
        for p in files()
        if NOBODYS_NAMES.search(p.stem)
        and p.suffix in (".py", ".ts", ".tsx")
        and "stubs" not in p.parts
    ]
    assert vague == ["contracts/proto/v1/common.proto"] or vague == []


def test_every_module_says_what_it_is():
    silent = [
        name(p) for p in python("src") if p.read_text().strip() and not ast.get_docstring(parsed(p))
    ]
    assert silent == []


def test_a_todo_has_its_reason():
    bare = [
        f"{name(p)}:{n}"
        for p in python("src", "tests")
        for n, line in enumerate(p.read_text().splitlines(), 1)
        if re.search(r"#\s*(TODO|FIXME|XXX)\b", line)
        and not re.search(r"(TODO|FIXME|XXX)\b.{15,}", line)
    ]
    assert bare == []


def test_no_folder_of_one_machine_is_named():
    found = [
        f"{name(p)}:{n}"
        for p in files()
        if p.suffix in TEXT and p.stat().st_size < 2_000_000 and p.name != "test_files.py"
        for n, line in enumerate(p.read_text(errors="replace").splitlines(), 1)
        if MACHINE.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("room", ["core", "wire", "platform", "services", "app"])
def test_the_rooms_are_there(room: str):
    assert any(f"src/orion/{room}/" in name(p) for p in files())
