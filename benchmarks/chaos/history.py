"""What the clients asked and were told: a line for each request when it leaves and a line when its
answer comes, or is known not to come.

The file is the evidence: it is written as things happen, and the comparison needs nothing of the
load but it. Times are microseconds of this machine's monotonic clock since the beginning, so they
order requests of all clients whatever is done to the platform's clock.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

OK, FAILED, UNKNOWN = "ok", "failed", "unknown"
COMMANDS = ("create", "accept", "cancel")
KEPT = (
    "rfqId", "status", "version", "tradeId", "acceptedQuoteId", "code", "correlationId",
    "bestQuoteId",
)  # fmt: skip
# Of the request and of the moment, not of the reply that is kept.
PASSING = ("requestId", "serverTime")


@dataclass(slots=True)
class Try:
    """One request on its way: `ended` and the rest when the answer is there."""

    at: int
    ended: int | None = None
    outcome: str = UNKNOWN
    status: int = 0
    said: dict[str, Any] = field(default_factory=dict)
    digest: str = ""  # of all that was said


@dataclass(slots=True)
class Op:
    """A command, or a question, with every time it was asked. One key, one operation."""

    n: int
    kind: str
    tenant: str
    user: str
    key: str = ""
    rfq: str = ""  # which it is about; of a create: known when it was answered
    body: dict[str, Any] = field(default_factory=dict)
    tries: list[Try] = field(default_factory=list)

    @property
    def told(self) -> Try | None:
        """The first definite answer, by time."""
        done = [t for t in self.tries if t.outcome != UNKNOWN and t.ended is not None]
        return min(done, key=lambda t: t.ended or 0) if done else None

    @property
    def outcome(self) -> str:
        """ok, failed or unknown."""
        told = self.told
        return told.outcome if told else UNKNOWN

    @property
    def rfq_id(self) -> str:
        """The RFQ it is about, as far as the client knows."""
        told = self.told
        return self.rfq or (told.said.get("rfqId", "") if told else "")


def digest(answer: Any) -> str:
    """A short hash of a reply without what is of the moment."""
    lasting = (
        {k: v for k, v in answer.items() if k not in PASSING}
        if isinstance(answer, Mapping)
        else answer
    )
    text = json.dumps(lasting, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class History:
    """Keeps it in memory and in a file, a line at a time."""

    def __init__(self, path: Path):
        self.path = path
        self.ops: list[Op] = []
        self.acked = 0  # commands told ok
        self._file: IO[str] = path.open("w", encoding="utf-8")
        self._began = time.monotonic_ns()
        self._line({"began": time.time()})

    def now(self) -> int:
        """Microseconds since the beginning."""
        return (time.monotonic_ns() - self._began) // 1000

    def ask(
        self, kind: str, tenant: str, user: str, *, key: str = "", rfq: str = "",
        body: Mapping[str, Any] | None = None,
    ) -> Op:  # fmt: skip
        """A new command or question; nothing has left yet."""
        op = Op(len(self.ops), kind, tenant, user, key, rfq, dict(body or {}))
        self.ops.append(op)
        told = {"kind": kind, "tenant": tenant, "user": user, "key": key, "rfq": rfq}
        self._line({"op": op.n, **told, "body": op.body})
        return op

    def leave(self, op: Op) -> Try:
        """It is sent, now."""
        one = Try(self.now())
        op.tries.append(one)
        self._line({"op": op.n, "try": len(op.tries) - 1, "at": one.at})
        return one

    def hear(self, op: Op, one: Try, outcome: str, status: int = 0, answer: Any = None) -> None:
        """What came back, now."""
        first = outcome == OK and op.kind in COMMANDS and op.outcome == UNKNOWN
        one.ended, one.outcome, one.status = self.now(), outcome, status
        if isinstance(answer, Mapping):
            one.said = {k: answer[k] for k in KEPT if answer.get(k) is not None}
            one.digest = digest(answer)
        if first:
            self.acked += 1
        # By identity: several may be on their way at once, and equal ones must not be mixed up.
        number = next(n for n, t in enumerate(op.tries) if t is one)
        self._line(
            {"op": op.n, "try": number, "ended": one.ended, "outcome": outcome,
             "status": status, "said": one.said, "digest": one.digest}
        )  # fmt: skip

    def close(self) -> None:
        """The file is whole."""
        self._file.close()

    def _line(self, what: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(what, separators=(",", ":")) + "\n")


def read(path: Path) -> list[Op]:
    """The operations of a history that was kept."""
    ops: list[Op] = []
    with path.open(encoding="utf-8") as lines:
        for text in lines:
            line = json.loads(text)
            if "kind" in line:
                ops.append(
                    Op(
                        line["op"], line["kind"], line["tenant"], line["user"], line["key"],
                        line["rfq"], line["body"],
                    )
                )  # fmt: skip
            elif "at" in line:
                ops[line["op"]].tries.append(Try(line["at"]))
            elif "ended" in line:
                one = ops[line["op"]].tries[line["try"]]
                one.ended, one.outcome = line["ended"], line["outcome"]
                one.status, one.said, one.digest = line["status"], line["said"], line["digest"]
    return ops
