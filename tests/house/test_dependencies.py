"""Every package that we ask for is named with its reason, and none that we no longer ask for."""

from __future__ import annotations

import json
import re

from orion.platform.config import CHECKOUT

PAGE = CHECKOUT / "docs" / "dependencies.md"


def asked_for() -> set[str]:
    """The packages of requirements/*.in and of the files called package.json."""
    names: set[str] = set()
    for file in (CHECKOUT / "requirements").glob("*.in"):
        for line in file.read_text().splitlines():
            if line.strip() and not line.startswith(("-", "#")):
                names.add(re.split(r"[\[=<>~!; ]", line.strip())[0])
    for folder in ("web", "infra/oidc-provider"):
        package = json.loads((CHECKOUT / folder / "package.json").read_text())
        names |= set(package["dependencies"]) | set(package.get("devDependencies", ()))
    return names


def named() -> set[str]:
    """The packages of the page's tables."""
    cells = re.findall(r"^\| ([^|]+) \|", PAGE.read_text(), re.MULTILINE)
    packages = {name.strip() for cell in cells for name in cell.split(",")}
    return packages - {"package"}


def test_every_package_has_a_reason() -> None:
    assert asked_for() == named()
