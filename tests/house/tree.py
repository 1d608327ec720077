"""The project's own files, for tests about the code."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from orion.platform.config import CHECKOUT

SRC = CHECKOUT / "src" / "orion"
STUBS = SRC / "wire" / "stubs"


@cache
def files() -> tuple[Path, ...]:
    """Every file that git keeps, or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    )
    return tuple(
        p
        for name in listed.stdout.decode().split("\0")
        if name and (p := CHECKOUT / name).is_file()
    )


def python(*roots: str) -> Iterator[Path]:
    """Python files below these folders of the checkout, generated stubs left out."""
    for path in files():
        is_ours = path.suffix == ".py" and not path.is_relative_to(STUBS)
        if is_ours and any(path.is_relative_to(CHECKOUT / root) for root in roots):
            yield path


def name(path: Path) -> str:
    """The path as people write it."""
    return path.relative_to(CHECKOUT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text(), str(path))
