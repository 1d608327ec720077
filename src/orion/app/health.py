"""Asks a process of this machine whether it is ready: `python -m orion.app.health [HOST:PORT]`.
Only the standard library, because a container asks every few seconds.
"""

from __future__ import annotations

import http.client
import os
import sys

ASK_S = 4.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}
NOT_SET = "ORION_METRICS_LISTEN names no port to ask. Set it, or give HOST:PORT."


def health(address: str) -> tuple[bool, str]:
    """Whether the process is ready, and its words."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return False, NOT_SET
    there = http.client.HTTPConnection(EVERYWHERE.get(host, host).strip("[]"), int(port), ASK_S)
    try:
        there.request("GET", "/readyz")
        answer = there.getresponse()
        return answer.status == 200, answer.read(4096).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return False, f"{address}: {error or type(error).__name__}"
    finally:
        there.close()


def main(arguments: list[str]) -> int:
    """0: ready."""
    set_for_this = os.environ.get("ORION_METRICS_LISTEN", "")  # noqa: TID251 (starts no Settings)
    is_ready, words = health(arguments[0] if arguments else set_for_this)
    print(words)
    return 0 if is_ready else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
