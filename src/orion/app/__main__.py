"""The command line from its first moment: Ctrl-C while it is read in ends it quietly."""

from __future__ import annotations

import signal


def main() -> None:
    """Reads the command line in, then runs it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from orion.app import cli

    signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
