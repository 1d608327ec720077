"""The BFF as a client of the identity provider: a confidential one, over the network, with a code
flow, PKCE, state and nonce."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from orion.platform.clock import Clock
from orion.platform.errors import Coded, Unavailable
from orion.platform.ids import new_token
from orion.services.bff_workstation.sessions_store import TokenSet

CLIENT_ID = "orion-bff"
SCOPE = "openid profile"
SECOND = 1_000_000


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


class IdentityProvider:
    """Talks to the provider. `back` is its address for us, `issuer` its public one (they differ
    where we sit beside it)."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        clock: Clock,
        *,
        issuer: str,
        back: str,
        secret: str,
        redirect_uri: str,
    ):
        self._http, self._clock, self._secret = http, clock, secret
        self._issuer, self._back, self._redirect_uri = issuer, back, redirect_uri
        self._document: dict[str, Any] | None = None

    async def sign_in_address(self, question: Question, notice: str = "") -> str:
        """Where the browser is sent to sign in."""
        document = await self._discover()
        query = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": self._redirect_uri,
            "scope": SCOPE,
            "state": question.state,
            "nonce": question.nonce,
            "code_challenge": question.challenge,
            "code_challenge_method": "S256",
        }
        if notice:
            query["orion_notice"] = notice
        return f"{document['authorization_endpoint']}?{urlencode(query)}"

    async def exchange(self, code: str, question: Question) -> tuple[TokenSet, int]:
        """(tokens for the code, seconds the sign-in may last). Raises AUTH-108 and Unavailable."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": question.verifier,
        }
        try:
            answer = await self._ask("token_endpoint", form)
        except SignInOver:
            raise Coded("AUTH-108") from None
        return self._tokens(answer, ""), int(answer["refresh_expires_in"])

    async def renew(self, tokens: TokenSet) -> TokenSet:
        """Fresh tokens for the refresh token. Raises SignInOver and Unavailable."""
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh}
        return self._tokens(await self._ask("token_endpoint", form), tokens.identity)

    async def sign_out(self, tokens: TokenSet, reason: str) -> None:
        """Ends the sign-in at the provider: its tokens are dead everywhere. Raises Unavailable."""
        form = {"token": tokens.refresh, "token_type_hint": "refresh_token", "orion_reason": reason}
        await self._ask("revocation_endpoint", form)

    def _tokens(self, answer: dict[str, Any], identity: str) -> TokenSet:
        return TokenSet(
            access=answer["access_token"],
            refresh=answer["refresh_token"],
            identity=answer.get("id_token", identity),
            access_expires_at=self._clock.now() + int(answer["expires_in"]) * SECOND,
        )

    async def _ask(self, endpoint: str, form: dict[str, str]) -> dict[str, Any]:
        document = await self._discover()
        try:
            answer = await self._http.post(
                self._seen_from_here(document[endpoint]), data=form, auth=(CLIENT_ID, self._secret)
            )
        except httpx.HTTPError as error:
            raise Unavailable("The identity provider is not answering") from error
        if answer.status_code == 400:
            raise SignInOver
        return _content(answer)

    async def _discover(self) -> dict[str, Any]:
        if self._document is None:
            try:
                answer = await self._http.get(f"{self._back}/.well-known/openid-configuration")
            except httpx.HTTPError as error:
                raise Unavailable("The identity provider is not answering") from error
            document = _content(answer)
            if document.get("issuer") != self._issuer:
                raise Unavailable("The identity provider is another one than configured")
            self._document = document
        return self._document

    def _seen_from_here(self, address: str) -> str:
        if address.startswith(self._issuer + "/"):
            return self._back + address[len(self._issuer) :]
        return address


def _content(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != 200:
        raise Unavailable(f"The identity provider answered {answer.status_code}")
    try:
        return answer.json()
    except ValueError as error:
        raise Unavailable("The identity provider's answer cannot be read") from error
