"""Signing in and out in a browser: /auth/login, /auth/callback, /auth/logout; where the issuer is
another one, also the way out there and what it says of sign-ins that it ended."""

from __future__ import annotations

import base64
import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from litestar import Request, Response, get, post
from litestar.params import QueryParameter

from orion.platform.auth import Verifier
from orion.platform.clock import Clock
from orion.platform.errors import Coded, Unavailable
from orion.platform.ids import new_token
from orion.services.bff_workstation.sessions import Sessions
from orion.services.bff_workstation.sessions_oidc import IdentityProvider, Question

SECOND = 1_000_000
SIGN_IN_S = 900
MAX_RETURN = 2048
PUBLIC = "public"
OUT = "/auth/logout/provider"
Text = Annotated[str | None, QueryParameter(max_length=4096)]
_NONCE_BYTES = 12
_POLICY = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
_PAGE_HEADERS = {
    "content-security-policy": _POLICY,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
}
HTML = "text/html; charset=utf-8"
SIGN_OUT_S = 120
MAX_COOKIE = 3800  # browsers keep 4096 bytes with the name
_OUT = b"sign-out"


class _Pending(msgspec.Struct):
    state: str
    nonce: str
    verifier: str
    return_to: str
    until: int


class SignInCookies:
    """Remembers a sign-in under way in the browser itself, encrypted: one cookie each, so that
    tabs do not disturb each other."""

    def __init__(self, key: bytes, clock: Clock, cookie: str):
        self._cipher = AESGCM(hashlib.blake2b(b"sign-in", key=key[:64], digest_size=32).digest())
        self._clock, self._prefix = clock, f"{cookie}-in-"

    def name(self, state: str) -> str:
        """The cookie of the sign-in with this state."""
        return self._prefix + hashlib.sha256(state.encode()).hexdigest()[:12]

    def seal(self, question: Question, return_to: str) -> str:
        """The cookie's value."""
        pending = _Pending(
            question.state,
            question.nonce,
            question.verifier,
            return_to,
            self._clock.now() + SIGN_IN_S * SECOND,
        )
        nonce = new_token(_NONCE_BYTES).encode()[:_NONCE_BYTES]
        body = self._cipher.encrypt(nonce, msgspec.json.encode(pending), None)
        return base64.urlsafe_b64encode(nonce + body).decode()

    @property
    def out_name(self) -> str:
        """The cookie that takes the proof of a sign-in along to the provider's way out."""
        return self._prefix.removesuffix("in-") + "out"

    def seal_out(self, identity: str) -> str:
        """The ID token for the provider, readable by us alone; without it when it is too long."""
        nonce = new_token(_NONCE_BYTES).encode()[:_NONCE_BYTES]
        for text in (identity, ""):
            body = self._cipher.encrypt(nonce, text.encode(), _OUT)
            value = base64.urlsafe_b64encode(nonce + body).decode()
            if len(value) <= MAX_COOKIE:
                return value
        raise AssertionError("an empty text is short")

    def open_out(self, value: str) -> str | None:
        """The ID token, or empty where it was too long; None when the cookie is none of ours."""
        try:
            raw = base64.b64decode(value.encode(), b"-_", validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _OUT).decode()
        except (ValueError, InvalidTag):
            return None

    def open(self, value: str, state: str) -> tuple[Question, str] | None:
        """(what was asked, where to go then); None when it is not of this sign-in, or too old."""
        try:
            raw = base64.b64decode(value.encode(), b"-_", validate=True)
            plain = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None)
            pending = msgspec.json.decode(plain, type=_Pending)
        except (ValueError, InvalidTag, msgspec.MsgspecError):
            return None
        if not hmac.compare_digest(pending.state.encode(), state.encode()):
            return None
        if self._clock.now() >= pending.until:
            return None
        return Question(pending.state, pending.nonce, pending.verifier), pending.return_to


@dataclass(frozen=True)
class SignIn:
    """What the routes work with."""

    sessions: Sessions
    provider: IdentityProvider
    verifier: Verifier
    cookies: SignInCookies


def routes(sign_in: SignIn) -> list[Any]:
    """The route handlers, for the BFF's Litestar app."""

    @get("/auth/login", opt={"permission": PUBLIC}, include_in_schema=False)
    async def login(
        request: Request[Any, Any, Any],
        return_to: Annotated[str | None, QueryParameter(name="returnTo")] = None,
        reason: Text = None,
    ) -> Response[Any]:
        """Sends the browser to the sign-in page."""
        question = Question.new()
        where = await sign_in.provider.sign_in_address(
            question, reason if reason in ("expired", "signed-out") else ""
        )
        response = _redirect(where)
        response.set_cookie(
            sign_in.cookies.name(question.state),
            sign_in.cookies.seal(question, safe_return(return_to)),
            path="/",
            secure=True,
            httponly=True,
            samesite="lax",  # it must come back from the provider's page
            max_age=SIGN_IN_S,
        )
        return response

    @get(
        "/auth/callback",
        # Providers add what they like, such as session_state; it is ignored (RFC 6749, 4.1.2).
        opt={"permission": PUBLIC, "any_query": True},
        include_in_schema=False,
    )
    async def callback(
        request: Request[Any, Any, Any],
        code: Text = None,
        given_state: Annotated[str | None, QueryParameter(name="state", max_length=4096)] = None,
        iss: Text = None,
        error: Text = None,
        error_description: Text = None,
    ) -> Response[Any]:
        """The provider's answer: makes the session and goes on."""
        name = sign_in.cookies.name(given_state or "")
        pending = sign_in.cookies.open(request.cookies.get(name, ""), given_state or "")
        # Another provider's answer is for another sign-in (RFC 9207).
        is_ours = iss is None or iss == sign_in.provider.client.issuer
        if pending is None or not code or error or not is_ours:
            return _start_again(name)
        question, return_to = pending
        try:
            cookie = await _finish(sign_in, request, code, question)
        except Coded as refusal:
            if refusal.code == "AUTH-109":
                return _no_place(name)
            if refusal.code not in ("AUTH-102", "AUTH-105", "AUTH-108"):
                raise
            return _start_again(name)
        response = _page("Signed in", f'<p><a href="{escape(return_to)}">Go on</a></p>', return_to)
        _drop(response, name)
        _set(response, sign_in.sessions, cookie)
        return response

    @post("/auth/logout", status_code=200, opt={"permission": PUBLIC}, include_in_schema=False)
    async def logout(request: Request[Any, Any, Any]) -> Response[dict[str, str]]:
        """Ends the session of this browser."""
        sessions = sign_in.sessions
        is_external = sign_in.provider.is_external
        where = OUT if is_external else "/auth/login?reason=signed-out"
        answer = Response({"logoutUrl": where}, headers={"cache-control": "no-store"})
        cookie = request.cookies.get(sessions.cookie)
        if cookie:
            sessions.check_origin(request)
            held = await sessions.end(cookie)
            if held is not None and is_external:
                _set_out(answer, sign_in.cookies, held.identity)
        _drop(answer, sessions.cookie, "strict")
        return answer

    return [login, callback, logout, *(_elsewhere(sign_in))]


def _elsewhere(sign_in: SignIn) -> list[Any]:
    """What only another issuer needs."""

    @get(OUT, opt={"permission": PUBLIC}, include_in_schema=False)
    async def sign_out(request: Request[Any, Any, Any]) -> Response[Any]:
        """Goes on to the provider, so that the sign-in ends there too."""
        name = sign_in.cookies.out_name
        identity = sign_in.cookies.open_out(request.cookies.get(name, ""))
        where = ""
        if identity is not None and sign_in.provider.is_external:
            with suppress(Unavailable):  # it is signed out here in any case
                where = await sign_in.provider.sign_out_address(identity)
        response = _redirect(where or "/auth/signed-out")
        _drop(response, name, "strict")
        return response

    @get(
        "/auth/signed-out",
        opt={"permission": PUBLIC, "any_query": True},
        include_in_schema=False,
    )
    async def signed_out() -> Response[Any]:
        """The last page."""
        return _page("You are signed out", '<p><a href="/auth/login">Sign in</a></p>')

    @post(
        "/auth/backchannel-logout",
        status_code=200,
        opt={"permission": PUBLIC},
        include_in_schema=False,
    )
    async def provider_says(request: Request[Any, Any, Any]) -> Response[Any]:
        """The provider ended a sign-in (OpenID Connect Back-Channel Logout 1.0)."""
        if not sign_in.provider.is_external:
            raise Coded("API-104")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise Coded("API-108", "The body must be application/x-www-form-urlencoded")
        form = parse_qs((await request.body()).decode("latin-1"), max_num_fields=20)
        token = form.get("logout_token", [""])[0]
        told = await sign_in.verifier.verify_logout(
            token, client_id=sign_in.provider.client.client_id
        )
        await sign_in.sessions.end_of(told.session_id, told.subject)
        return Response(b"", headers={"cache-control": "no-store"})

    return [sign_out, signed_out, provider_says]


async def _finish(
    sign_in: SignIn, request: Request[Any, Any, Any], code: str, question: Question
) -> str:
    tokens, lasts_s = await sign_in.provider.exchange(code, question)
    proven = await sign_in.verifier.verify_identity(
        tokens.identity,
        client_id=sign_in.provider.client.client_id,
        nonce=question.nonce,
        access_token=tokens.access,
    )
    caller = await sign_in.verifier.verify(tokens.access)
    # Not every issuer names the session in both.
    same_session = proven.session_id == caller.session_id or sign_in.provider.is_external
    if proven.subject != caller.subject or not same_session or caller.service is not None:
        raise Coded("AUTH-108")
    old = request.cookies.get(sign_in.sessions.cookie)
    if old:
        await sign_in.sessions.give_way(old, caller)
    address = request.client.host if request.client else "local"
    return await sign_in.sessions.begin(tokens, caller, lasts_s, address)


def safe_return(where: str | None) -> str:
    """A path of our own to go to after the sign-in; anything that could lead elsewhere becomes the
    first page."""
    if not where or len(where) > MAX_RETURN or not where.startswith("/"):
        return "/"
    odd = any(ord(c) <= 32 or ord(c) > 126 for c in where) or "\\" in where
    # "//host" and "/\host" are other sites to a browser; /auth and /oidc would go round in circles.
    if odd or where.startswith(("//", "/auth/", "/oidc/")):
        return "/"
    return where


def _start_again(cookie: str) -> Response[Any]:
    link = '<p><a href="/auth/login">Sign in</a></p>'
    response = _page("The sign-in could not be completed", link, status=400)
    _drop(response, cookie)
    return response


def _no_place(cookie: str) -> Response[Any]:
    text = (
        "<p>The identity provider knows you, but gives your account no tenant or no role here."
        ' Ask who administers it.</p><p><a href="/auth/login">Try again</a></p>'
    )
    response = _page("Your account has no place here", text, status=403)
    _drop(response, cookie)
    return response


def _page(title: str, body: str, go_to: str = "", status: int = 200) -> Response[Any]:
    # The jump comes from our own page: a cookie with SameSite=Strict goes along, as it would not
    # after a redirection that began
    # on another site.
    jump = f'<meta http-equiv="refresh" content="0;url={escape(go_to)}">' if go_to else ""
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"{jump}</head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return Response(html.encode(), status_code=status, media_type=HTML, headers=dict(_PAGE_HEADERS))


def _set(response: Response[Any], sessions: Sessions, cookie: str) -> None:
    response.set_cookie(
        sessions.cookie,
        cookie,
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
        max_age=sessions.longest_s,
    )


def _set_out(response: Response[Any], cookies: SignInCookies, identity: str) -> None:
    response.set_cookie(
        cookies.out_name,
        cookies.seal_out(identity),
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
        max_age=SIGN_OUT_S,
    )


def _drop(response: Response[Any], name: str, samesite: Any = "lax") -> None:
    response.set_cookie(
        name, "", path="/", secure=True, httponly=True, samesite=samesite, max_age=0
    )


def _redirect(where: str) -> Response[Any]:
    return Response(b"", status_code=303, headers={"location": where, "cache-control": "no-store"})
