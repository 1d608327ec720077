"""The BFF as a client of the identity provider: a confidential one, over the network, with a code
flow, PKCE, state and nonce. The embedded provider and any other speak the same protocol; where
they may differ the difference is named here."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import msgspec

from orion.platform.clock import Clock
from orion.platform.discovery import MAX_BYTES, WELL_KNOWN, Metadata, metadata_of
from orion.platform.errors import Coded, Unavailable
from orion.platform.ids import new_token
from orion.services.bff_workstation.sessions_store import TokenSet

SECOND = 1_000_000
METADATA_FRESH_US = 900 * SECOND
LOOK_AGAIN_US = 30 * SECOND


class SignInOver(Exception):
    """The provider takes the refresh token no longer: the sign-in has ended."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the provider in one sign-in, and remembered until its answer."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Question:
        """Fresh random values."""
        return cls(new_token(), new_token(), new_token(48))

    @property
    def challenge(self) -> str:
        """The proof key's S256 challenge (RFC 7636)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are at the provider, and where the provider is. `back` is its address for us, `issuer`
    its public one (they differ where we sit beside it)."""

    issuer: str
    back: str
    secret: str
    public_url: str
    client_id: str = "orion-bff"
    scope: str = "openid profile"
    is_external: bool = False
    logout_parameter: str = "post_logout_redirect_uri"

    @property
    def redirect_uri(self) -> str:
        """Where the browser brings the code."""
        return f"{self.public_url}/auth/callback"

    @property
    def signed_out_uri(self) -> str:
        """Where the browser goes once the provider has signed it out."""
        return f"{self.public_url}/auth/signed-out"


class IdentityProvider:
    """Talks to the provider."""

    def __init__(self, http: httpx.AsyncClient, clock: Clock, client: Client):
        self._http, self._clock, self.client = http, clock, client
        self._metadata: Metadata | None = None
        self._read_at = 0

    @property
    def is_external(self) -> bool:
        """True when it is not the embedded one."""
        return self.client.is_external

    async def sign_in_address(self, question: Question, notice: str = "") -> str:
        """Where the browser is sent to sign in."""
        metadata = await self._discover()
        query = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.client.redirect_uri,
            "scope": self.client.scope,
            "state": question.state,
            "nonce": question.nonce,
            "code_challenge": question.challenge,
            "code_challenge_method": "S256",
        }
        if notice and not self.is_external:
            query["orion_notice"] = notice
        return _with(metadata.authorization_endpoint, query)

    async def sign_out_address(self, identity: str = "") -> str:
        """Where a browser ends its sign-in at the provider (OpenID Connect RP-Initiated Logout);
        empty when the provider has no such place."""
        metadata = await self._discover()
        if not metadata.end_session_endpoint:
            return ""
        client = self.client
        query = {"client_id": client.client_id, client.logout_parameter: client.signed_out_uri}
        if identity and client.logout_parameter == "post_logout_redirect_uri":
            query["id_token_hint"] = identity
        return _with(metadata.end_session_endpoint, query)

    async def exchange(self, code: str, question: Question) -> tuple[TokenSet, int | None]:
        """(tokens for the code, seconds the sign-in may last where the provider knows). Raises
        AUTH-108 and Unavailable."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.client.redirect_uri,
            "code_verifier": question.verifier,
        }
        try:
            answer = await self._ask(await self._endpoint("token"), form)
        except SignInOver:
            raise Coded("AUTH-108") from None
        # Elsewhere this is how long one refresh token lives, not the sign-in.
        lasts = None if self.is_external else int(answer["refresh_expires_in"])
        return self._tokens(answer, TokenSet("", "", "", 0)), lasts

    async def renew(self, tokens: TokenSet) -> TokenSet:
        """Fresh tokens for the refresh token. Raises SignInOver and Unavailable."""
        if not tokens.refresh:
            raise SignInOver
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh}
        return self._tokens(await self._ask(await self._endpoint("token"), form), tokens)

    async def sign_out(self, tokens: TokenSet, reason: str) -> None:
        """Gives the sign-in back at the provider: its refresh token is dead, at the embedded one
        every token. Raises SignInOver and Unavailable."""
        endpoint = await self._endpoint("revocation")
        if not endpoint or not tokens.refresh:
            return
        form = {"token": tokens.refresh, "token_type_hint": "refresh_token"}
        if not self.is_external:
            form["orion_reason"] = reason
        await self._ask(endpoint, form)

    def _tokens(self, answer: dict[str, Any], before: TokenSet) -> TokenSet:
        try:
            return TokenSet(
                access=_text(answer["access_token"]),
                # Not every provider gives a new one with each renewal.
                refresh=_text(answer.get("refresh_token", before.refresh)),
                identity=_text(answer.get("id_token", before.identity)),
                access_expires_at=self._clock.now() + int(answer.get("expires_in", 60)) * SECOND,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable("The identity provider's answer cannot be read") from error

    async def _ask(self, endpoint: str, form: dict[str, str]) -> dict[str, Any]:
        methods = (await self._discover()).token_auth_methods
        name, secret = self.client.client_id, self.client.secret
        if "client_secret_basic" in methods or "client_secret_post" not in methods:
            # Encoded before it is joined (RFC 6749, 2.3.1).
            basic = httpx.BasicAuth(quote(name, safe=""), quote(secret, safe=""))
            status, body = await self._send("POST", endpoint, data=form, auth=basic)
        else:
            form = {**form, "client_id": name, "client_secret": secret}
            status, body = await self._send("POST", endpoint, data=form)
        if status == 400:
            raise SignInOver
        return _content(status, body)

    async def _endpoint(self, kind: str) -> str:
        metadata = await self._discover()
        named: str = getattr(metadata, f"{kind}_endpoint")
        if named.startswith(self.client.issuer + "/"):
            return self.client.back + named[len(self.client.issuer) :]
        return named

    async def _discover(self) -> Metadata:
        now, known = self._clock.now(), self._metadata
        if known is not None and now - self._read_at < METADATA_FRESH_US:
            return known
        try:
            document = _content(*await self._send("GET", self.client.back + WELL_KNOWN))
            self._metadata = metadata_of(document, self.client.issuer)
        except Unavailable:
            if known is None:
                raise
            # What was known stays good while the provider does not answer.
            self._read_at = now - METADATA_FRESH_US + LOOK_AGAIN_US
            return known
        self._read_at = now
        return self._metadata

    async def _send(self, method: str, address: str, **more: Any) -> tuple[int, bytes]:
        """Status and body, which may not be longer than we want to read."""
        body = bytearray()
        try:
            async with self._http.stream(method, address, **more) as answer:
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > MAX_BYTES:
                        raise Unavailable("The identity provider's answer is too long")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable("The identity provider is not answering") from error
        return answer.status_code, bytes(body)


def issued_at(token: str) -> int:
    """When an access token of ours was issued, in seconds; 0 when that cannot be read. It was
    verified before."""
    try:
        middle = token.split(".")[1]
        plain = base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4))
        return int(msgspec.json.decode(plain, type=dict[str, Any])["iat"])
    except (IndexError, KeyError, TypeError, ValueError, msgspec.MsgspecError):
        return 0


def _with(address: str, query: dict[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _content(status: int, body: bytes) -> dict[str, Any]:
    if status != 200:
        raise Unavailable(f"The identity provider answered {status}")
    try:
        # A revocation is answered with nothing (RFC 7009, 2.2).
        return msgspec.json.decode(body, type=dict[str, Any]) if body.strip() else {}
    except msgspec.MsgspecError as error:
        raise Unavailable("The identity provider's answer cannot be read") from error
