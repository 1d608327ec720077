"""Who is behind a socket: signed in by token or cookie, watched until it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from orion.platform.caller import Caller
from orion.platform.errors import Coded
from orion.platform.push import NOT_SIGNED_IN, REPLACED, Peer, reason_of
from orion.platform.revocations import Revoked
from orion.services.push_edge.config import Config

RENEW_BEFORE_S = 10
LOOK_AGAIN_S = 2
MAX_WAITING_MESSAGES = 32


@dataclass(frozen=True, slots=True)
class Credential:
    """What the handshake brought: a bearer token, or the session cookie."""

    token: str | None = None
    cookie: str | None = None


@dataclass(slots=True, eq=False)
class Session:
    """The content's side of a socket."""

    credential: Credential
    caller: Caller | None = None
    mask: int = 0
    missed: int = 0
    seqs: dict[str, int] = field(default_factory=dict)
    # messages before the sign-in was checked
    waiting: list[bytes] | None = field(default_factory=list)
    # when to look at the token again (seconds)
    look_at: int = 0


def credential_of(headers: Any, cookie_name: str, allowed_origins: frozenset[str]) -> Credential:
    """What a handshake's headers say. Raises AUTH-104 for any handshake that another site's page
    made, and for a cookie that came without a page: only programs with a token need no Origin.
    """
    origins = headers.getall("Origin", [])
    if any(origin not in allowed_origins for origin in origins):
        raise Coded("AUTH-104")
    authorization = headers.getall("Authorization", [])
    if len(authorization) > 1:
        raise Coded("API-100", "Authorization is given more than once")
    if authorization:
        kind, _, token = authorization[0].partition(" ")
        return Credential(token=token.strip() if kind.lower() == "bearer" else "")
    values = [
        value.strip()
        for line in headers.getall("Cookie", [])
        for name, _, value in (part.partition("=") for part in line.split(";"))
        if name.strip() == cookie_name
    ]
    if not values:
        return Credential()
    if len(origins) != 1 or len(values) > 1:
        raise Coded("AUTH-104")
    return Credential(cookie=values[0])


def allowed_origins(public_url: str) -> frozenset[str]:
    """The pages that may open the stream: the public address, and on one machine its other name."""
    url = urlsplit(public_url)
    names = {url.hostname}
    if url.hostname in ("localhost", "127.0.0.1"):
        names = {"localhost", "127.0.0.1"}
    port = f":{url.port}" if url.port else ""
    return frozenset(f"{url.scheme}://{name}{port}" for name in names)


class Roll:
    """The signed-in sockets, by user and by session."""

    def __init__(self, config: Config, now: Callable[[], int]):
        self._config, self._now = config, now
        self._users: dict[tuple[str, str], dict[Peer, None]] = {}
        self._sids: dict[str, dict[Peer, None]] = {}
        self._next_look = 0  # before that second no token wants looking at

    @property
    def peers(self) -> list[Peer]:
        """All signed-in sockets."""
        return [peer for peers in self._users.values() for peer in peers]

    def __len__(self) -> int:
        return sum(len(peers) for peers in self._users.values())

    def enter(self, peer: Peer, caller: Caller) -> None:
        """A socket has signed in (again)."""
        session: Session = peer.state
        self._forget(peer)
        session.caller = caller
        mine = self._users.setdefault((caller.tenant, caller.subject), {})
        mine[peer] = None
        self._sids.setdefault(caller.session_id, {})[peer] = None
        soonest = self._now() // 1_000_000 + LOOK_AGAIN_S
        early = RENEW_BEFORE_S if session.credential.cookie is not None else 0
        session.look_at = max(soonest, caller.expires_at - early)
        self._next_look = min(self._next_look, session.look_at)
        while len(mine) > self._config.sockets_per_user:
            oldest = next(iter(mine))
            self._forget(oldest)
            oldest.close(REPLACED, "WS-504 A newer connection took this one's place")

    def _forget(self, peer: Peer) -> None:
        caller = peer.state.caller
        if caller is None:
            return
        for index, key in (
            (self._users, (caller.tenant, caller.subject)),
            (self._sids, caller.session_id),
        ):
            peers = index.get(key)  # type: ignore[call-overload]
            if peers is not None:
                peers.pop(peer, None)
                if not peers:
                    del index[key]  # type: ignore[arg-type]

    def leave(self, peer: Peer) -> None:
        """The socket is gone."""
        self._forget(peer)

    def revoked(self, item: Revoked) -> None:
        """Ends the sockets of a session, or of a user whose tokens up to an instant are dead."""
        struck = list(self._sids.get(item.session_id or "", ()))
        if item.subject is not None:
            for (_, subject), peers in list(self._users.items()):
                if subject == item.subject:
                    struck += [p for p in peers if p.state.caller.issued_at <= item.at // 1_000_000]
        for peer in struck:
            peer.close(NOT_SIGNED_IN, reason_of(Coded("AUTH-105")))

    def due(self) -> list[Peer]:
        """The sockets whose token wants looking at now."""
        now = self._now() // 1_000_000
        if now < self._next_look:
            return []
        peers = self.peers
        found = [p for p in peers if p.state.look_at <= now and not p.is_closing]
        later = [p.state.look_at for p in peers if p.state.look_at > now]
        # Those found now are asked again, in two seconds at the soonest.
        self._next_look = min([now + LOOK_AGAIN_S, *later] if found else later, default=now)
        return found
