"""Writes docs/configuration.md from the types: `python -m orion.app.reference [--check]`."""

from __future__ import annotations

import sys

from orion.app.modules import MODULES
from orion.platform.config import CHECKOUT, PlatformConfig, describe

PAGE = CHECKOUT / "docs" / "configuration.md"
HEAD = """# Configuration

One place for each setting: a flag of `./orion up` where there is one, else the environment
variable below, else `orion.toml` (the platform's settings at the top, a service's in `[service]`;
another file by `ORION_CONFIG`), else the default. Everything is checked at start; an error names
the key and what to do. This page is made from the types by `python -m orion.app.reference`; a test
compares it.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, _table("The platform", "", PlatformConfig)]
    parts += [_table(f"Service `{name}`", name, e.config_type) for name, e in MODULES.items()]
    return "\n".join(parts)


def _table(title: str, section: str, cls: type) -> str:
    rows = [
        f"| `{key}` | {_shown(default)} | {doc} |" for key, default, doc in describe(section, cls)
    ]
    if not rows:
        return f"## {title}\n\nNothing to set.\n"
    return "\n".join(
        [f"## {title}\n", "| variable | default | meaning |", "|---|---|---|", *rows, ""]
    )


def _shown(default: str) -> str:
    text = default.replace(str(CHECKOUT), "<checkout>")
    return f"`{text}`" if text else "–"


def main() -> None:
    """Writes the page, or with --check exits 1 when it is stale."""
    if "--check" not in sys.argv:
        PAGE.write_text(page())
    elif PAGE.read_text() != page():
        raise SystemExit("docs/configuration.md is stale: run python -m orion.app.reference")


if __name__ == "__main__":
    main()
