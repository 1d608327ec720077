"""The state diagrams of the docs, made from MOVES: `python -m orion.wire.diagrams [--check]`."""

from __future__ import annotations

import sys
from pathlib import Path

from orion.core.rfq import MOVES, TERMINAL

TARGET = Path(__file__).resolve().parents[3] / "docs" / "architecture" / "rfq-states.md"

_HEAD = """# The states of an RFQ

Made from `orion.core.rfq.MOVES`, the only copy of the legal moves; do not edit it by hand
(`python -m orion.wire.diagrams`). Quotes arriving, being replaced or taken back do not move the
RFQ and do not change its public version.

"""


def mermaid() -> str:
    """The diagram as a mermaid block."""
    lines = ["```mermaid", "stateDiagram-v2"]
    for (status, event), target in MOVES.items():
        source = "[*]" if status is None else status.value
        lines.append(f"  {source} --> {target.value}: {event.__name__}")
    lines += [f"  {status} --> [*]" for status in sorted(s.value for s in TERMINAL)]
    return "\n".join([*lines, "```", ""])


def document() -> str:
    """The whole page."""
    return _HEAD + mermaid()


def main() -> None:
    """Writes the page, or with --check exits 1 when it is stale."""
    if "--check" not in sys.argv:
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        TARGET.write_text(document())
        return
    if not TARGET.is_file() or TARGET.read_text() != document():
        raise SystemExit("docs/architecture/rfq-states.md is stale; run orion.wire.diagrams")


if __name__ == "__main__":
    main()
