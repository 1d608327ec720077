"""What must hold of commands and their kept replies: a check of `orion verify`.

A reply that was kept says what was true when it was given; what it acknowledged is in the log,
once; and what callers caused has a reply, so that a repeat finds it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from orion.platform.verify import Check
from orion.services.rfq.aggregate import Answer

NEWEST = 50_000  # replies; of an older one's RFQ nothing is read
_KEPT = "select tenant, part, command, key, reply, at from rfq.inbox order by at desc limit $1"
# An RFQ lives for minutes; the day before the oldest reply is far more than its story needs.
_SAID = """
    select tenant, part, entity, seq, type, at from bus.log
     where topic = 'rfq.lifecycle' and at >= $1 order by part, offs
"""
DAY_US = 86_400_000_000
_CAUSED = {"create": "RFQCreated", "accept": "QuoteAccepted", "cancel": "RFQCancelled"}
DENIED = "RFQDenied"
Name = tuple[str, str]  # (tenant, RFQ)


async def replies_check(sql: Any) -> Check:
    """Every kept reply against the log, and every command in the log against the replies."""
    check = Check("replies are as the log says")
    replies = await sql.fetch(_KEPT, NEWEST)
    oldest = replies[-1]["at"] if replies else None
    since = oldest - DAY_US if oldest and len(replies) == NEWEST else 0
    story: dict[Name, list[Any]] = {}
    for said in await sql.fetch(_SAID, since):
        story.setdefault((said["tenant"], said["entity"]), []).append(said)
    known: Counter[tuple[str, str, str, int]] = Counter()
    check.counted = len(replies)
    if since:
        check.notes.append(f"only the newest {NEWEST} replies were compared")
    for kept in replies:
        where = f"{kept['tenant']}/{kept['part']} {kept['command']} {kept['key']}"
        try:
            answer = Answer.unpack(bytes(kept["reply"]))
            if since and answer.details and (kept["tenant"], answer.details.rfq_id) not in story:
                continue
        except Exception as error:
            check.violations.append(f"{where}: the reply cannot be read ({type(error).__name__})")
            continue
        wrong, caused = _compare(kept, answer, story)
        if wrong:
            check.violations.append(f"{where}: {wrong}")
        if caused:
            known[caused] += 1
    check.violations += _uncalled(story, known, oldest)
    return check


def _compare(
    kept: Any, answer: Answer, story: dict[Name, list[Any]]
) -> tuple[str, tuple[str, str, str, int] | None]:
    """What is wrong with the reply; and the event it stands for, if it is one of its own."""
    verb, _, named = kept["command"].partition(" ")
    details = answer.details
    if details is None:
        return ("" if answer.reject else "it says nothing"), None
    rfq = details.rfq_id
    if (named and named != rfq) or details.tenant_id != kept["tenant"]:
        return f"it is about {details.tenant_id} {rfq}", None
    told = story.get((kept["tenant"], rfq), [])
    seen = [s for s in told if s["seq"] == details.version]
    if len(seen) != 1 or seen[0]["at"] > kept["at"] or seen[0]["part"] != kept["part"]:
        return f"version {details.version} of {rfq} was not there then", None
    later = [s for s in told if s["seq"] > details.version and s["at"] < kept["at"]]
    if later:
        return f"it tells version {details.version} after {later[0]['type']}", None
    if answer.reject and verb != "create":
        return "", None
    kind = _CAUSED[verb]
    when = [s["at"] for s in told if s["type"] == kind and s["at"] <= kept["at"]]
    if not when:
        return f"no {kind} of {rfq} by then", None
    denied = any(s["type"] == DENIED for s in told)
    if denied != bool(answer.reject):
        return f"{rfq} was {'' if denied else 'not '}denied, its reply says otherwise", None
    return "", (kept["tenant"], rfq, kind, kept["at"]) if kept["at"] in when else None


def _uncalled(
    story: dict[Name, list[Any]], known: Counter[tuple[str, str, str, int]], oldest: int | None
) -> list[str]:
    """Events of commands without a reply; replies that share one event."""
    wrong = [
        f"{tenant} {rfq}: {count} replies for one {kind}"
        for (tenant, rfq, kind, _), count in known.items()
        if count > 1 and kind == _CAUSED["create"]
    ]
    for (tenant, rfq), told in story.items():
        for said in told:
            # Replies are kept for some days only, the log for longer.
            is_kept = oldest is not None and said["at"] >= oldest
            if is_kept and said["type"] in _CAUSED.values():
                name = (tenant, rfq, said["type"], said["at"])
                if name not in known:
                    wrong.append(f"{tenant} {rfq}: {said['type']} without a reply to its caller")
    return wrong
