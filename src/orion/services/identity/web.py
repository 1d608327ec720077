"""Identity over HTTP, under /oidc: discovery, keys, authorization, the sign-in page, tokens, user
info, revocation, logout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError, OAuth2Error
from authlib.oauth2.rfc6749.util import extract_basic_authorization
from joserfc import jws
from joserfc.errors import JoseError
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath

from orion.platform.auth import Verifier
from orion.platform.errors import Coded
from orion.platform.http.problems import PROBLEM, answer, coded
from orion.platform.ids import new_token
from orion.services.identity import pages
from orion.services.identity.operations import Failed, Operations
from orion.services.identity.provider import SCOPES, Client, Incoming
from orion.services.identity.ticket import Tickets
from orion.services.identity.tokens import Tokens

Web = Request[Any, Any, State]
MAX_FORM_BYTES = 16_384
MAX_FIELDS = 40
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Site:
    """What the routes work with."""

    operations: Operations
    tokens: Tokens
    tickets: Tickets
    verifier: Verifier
    clients: dict[str, Client]
    around: pages.Surroundings
    public_url: str
    origins: frozenset[str]
    cookie: str
    pause_minutes: int


def create_app(site: Site) -> Litestar:
    """The ASGI app. Mount it with its paths as they are: all begin with /oidc."""
    return Litestar(
        route_handlers=[
            discovery,
            keys,
            authorize,
            login,
            token,
            user_info,
            revoke,
            end_session,
            end_session_post,
            asset,
        ],
        exception_handlers={Exception: _refuse},
        state=State({"site": site}),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MAX_FORM_BYTES,
    )


def closed_app() -> Litestar:
    """The app where people sign in elsewhere: nothing is here."""
    return Litestar(
        route_handlers=[],
        exception_handlers={Exception: _refuse},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MAX_FORM_BYTES,
    )


def _site(request: Web) -> Site:
    return request.app.state.site


def _refuse(request: Web, error: Exception) -> Response[bytes]:
    refusal, headers = coded(error)
    told = answer(refusal, request.scope.get("state", {}).get("request_id", ""))
    return Response(
        told.body,
        status_code=told.status,
        media_type=PROBLEM,
        headers={**dict(told.headers), **headers},
    )


# -- what everybody may know


@get("/oidc/.well-known/openid-configuration", sync_to_thread=False)
def discovery(request: Web) -> Response[bytes]:
    """Where everything is (OpenID Connect Discovery)."""
    issuer = _site(request).tokens.issuer
    document = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "jwks_uri": f"{issuer}/jwks",
        "revocation_endpoint": f"{issuer}/revoke",
        "end_session_endpoint": f"{issuer}/logout",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "claims_supported": [
            "sub",
            "iss",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "nonce",
            "sid",
            "name",
        ],
    }
    return _json(document, cache="public, max-age=300")


@get("/oidc/jwks", sync_to_thread=False)
def keys(request: Web) -> Response[bytes]:
    """The public keys that tokens are verified with."""
    return _json(_site(request).tokens.keys.public(), cache="public, max-age=60")


@get("/oidc/assets/{name:str}", sync_to_thread=False)
def asset(name: FromPath[str]) -> Response[bytes]:
    """Style and font of the sign-in page."""
    kind = _ASSETS.get(name)
    if kind is None:
        raise Coded("API-104")
    body = (resources.files("orion.services.identity") / "static" / name).read_bytes()
    headers = {"cache-control": "public, max-age=3600", "x-content-type-options": "nosniff"}
    return Response(body, media_type=kind, headers=headers)


_ASSETS = {
    "login.css": "text/css; charset=utf-8",
    "inter-latin.woff2": "font/woff2",
    "icon.svg": "image/svg+xml",
}


# -- the page


@get("/oidc/authorize")
async def authorize(request: Web) -> Response[Any]:
    """An authorization request: shows the sign-in page, or refuses."""
    site = _site(request)
    query = request.scope["query_string"].decode("latin-1")
    try:
        incoming = _authorization(site, query)
        site.operations.check_authorization(incoming)
    except OAuth2Error as error:
        return _authorization_refused(site, error)
    notice = pages.NOTICES.get(incoming.parameters.get("orion_notice", ""))
    return _page_with_ticket(request, query, message=notice)


@post("/oidc/login", status_code=200)
async def login(request: Web) -> Response[Any]:
    """The sent form."""
    site = _site(request)
    fields = dict(await _form(request))
    if request.headers.get("origin") not in site.origins:
        raise Coded("AUTH-104")
    browser = request.cookies.get(site.cookie, "")
    query = site.tickets.read(fields.get("ticket", ""), browser)
    if query is None:
        return _card(
            site, 400, "Start again", "This sign-in page is too old or was opened elsewhere."
        )
    user, password = fields.get("user", ""), fields.get("password", "")
    incident = request.scope.get("state", {}).get("request_id", "")
    try:
        outcome = await site.operations.sign_in(
            _authorization(site, query), user, password, _address(request)
        )
    except OAuth2Error as error:
        return _authorization_refused(site, error)
    except Coded as refusal:
        if refusal.code not in ("AUTH-106", "API-109"):
            raise
        return _slowed(request, query, user, refusal, incident)
    if isinstance(outcome, Failed):
        message = pages.wrong(outcome.tries_left, site.pause_minutes, incident)
        return _page_with_ticket(request, query, user=user, message=message, status=401)
    return _see_other(site, outcome)


def _slowed(request: Web, query: str, user: str, refusal: Coded, incident: str) -> Response[Any]:
    wait = refusal.retry_after_s or 1
    message = pages.paused(wait, incident)
    response = _page_with_ticket(request, query, user=user, message=message, status=429)
    response.headers["retry-after"] = str(int(wait))
    return response


def _see_other(site: Site, outcome: Any) -> Response[Any]:
    _, _, headers = outcome
    where = dict(headers).get("Location", "")
    response = _redirect(_with_issuer(site, where))
    # The form is done: its ticket must not be sent again.
    response.set_cookie(
        site.cookie, "", path="/", secure=True, httponly=True, samesite="lax", max_age=0
    )
    return response


def _with_issuer(site: Site, where: str) -> str:
    return add_params_to_uri(where, [("iss", site.tokens.issuer)])  # RFC 9207


def _authorization(site: Site, query: str) -> Incoming:
    pairs = _pairs(query)
    return Incoming("GET", f"{site.public_url}/oidc/authorize?{query}", pairs, {})


def _authorization_refused(site: Site, error: OAuth2Error) -> Response[Any]:
    """To the application when its address is proven, else on a page of ours: never to an address
    that is not registered."""
    status, _, headers = error()
    where = dict(headers).get("Location")
    if status == 302 and where:
        return _redirect(_with_issuer(site, where))
    return _card(
        site, 400, "This sign-in cannot go on", str(error.get_error_description() or error.error)
    )


def _page_with_ticket(
    request: Web,
    query: str,
    *,
    user: str = "",
    message: pages.Message | None = None,
    status: int = 200,
) -> Response[Any]:
    site = _site(request)
    browser = request.cookies.get(site.cookie) or new_token()
    ticket = site.tickets.make(query, browser)
    html = pages.login(site.around, ticket=ticket, user=user[:120], message=message)
    response = _html(html, status)
    response.set_cookie(
        site.cookie, browser, path="/", secure=True, httponly=True, samesite="lax", max_age=3600
    )
    return response


# -- for applications


@post("/oidc/token", status_code=200)
async def token(request: Web) -> Response[bytes]:
    """A code or a refresh token for tokens."""
    site = _site(request)
    try:
        incoming = await _from_application(request, "/oidc/token")
        status, body, headers = await site.operations.exchange(incoming, _address(request))
    except OAuth2Error as error:
        status, body, headers = error()
    return _oauth(status, body, headers)


@post("/oidc/revoke", status_code=200)
async def revoke(request: Web) -> Response[bytes]:
    """RFC 7009: an application gives a sign-in back."""
    site = _site(request)
    try:
        incoming = await _from_application(request, "/oidc/revoke")
        client = _client(site, incoming)
        reason = incoming.form.get("orion_reason", "LOGOUT")
        if reason not in ("LOGOUT", "IDLE", "EXPIRED"):
            raise InvalidRequestError("Unknown 'orion_reason'.")
        await site.operations.revoke(client.client_id, incoming.form.get("token", ""), reason)
    except OAuth2Error as error:
        return _oauth(*error())
    return _oauth(200, {}, [])


def _client(site: Site, incoming: Incoming) -> Client:
    name, secret = extract_basic_authorization(dict(incoming.headers or {}))
    client = site.clients.get(name or "")
    if client is None or not secret or not client.check_client_secret(secret):
        raise InvalidClientError(status_code=401)
    return client


@get("/oidc/userinfo")
async def user_info(request: Web) -> Response[bytes]:
    """Who the bearer of an access token is."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not bearer:
        raise Coded("AUTH-101")
    caller = await _site(request).verifier.verify(bearer)
    if caller.service is not None:
        raise Coded("AUTH-102")
    return _json(
        {
            "sub": caller.subject,
            "preferred_username": caller.user,
            "name": caller.display_name,
            "tenant": caller.tenant,
            "desk": caller.desk,
            "roles": sorted(caller.roles),
        }
    )


@get("/oidc/logout")
async def end_session(request: Web) -> Response[Any]:
    """Sign-out started by an application (OpenID Connect RP-Initiated Logout)."""
    return await _end_session(request, _pairs(request.scope["query_string"].decode("latin-1")))


@post("/oidc/logout", status_code=200)
async def end_session_post(request: Web) -> Response[Any]:
    """The same by POST."""
    return await _end_session(request, await _form(request))


async def _end_session(request: Web, pairs: Sequence[tuple[str, str]]) -> Response[Any]:
    site, given = _site(request), dict(pairs)
    claims = _hint(site, given.get("id_token_hint", ""))
    client = site.clients.get(str(claims.get("aud"))) if claims else None
    # Without a proof of who asks nothing is ended: anybody could have linked here.
    if (
        claims is None
        or client is None
        or given.get("client_id", client.client_id) != client.client_id
    ):
        return _card(
            site, 400, "This sign-out cannot be done", "It does not say whose session it ends."
        )
    tenant = str(claims.get("preferred_username", "")).rpartition("@")[2]
    await site.operations.sign_out(tenant, str(claims["sid"]))
    where = given.get("post_logout_redirect_uri")
    if where is None:
        return _html(pages.signed_out(site.around))
    if where not in client.post_logout_redirect_uris:
        return _card(site, 400, "Signed out", "The address to go on to is not registered.")
    state = given.get("state")
    return _redirect(add_params_to_uri(where, [("state", state)]) if state else where)


def _hint(site: Site, hint: str) -> dict[str, Any] | None:
    """The claims of an ID token of ours; its age does not matter here."""
    try:
        proven = jws.deserialize_compact(hint, site.tokens.keys.all(), algorithms=["ES256"])
        claims = msgspec.json.decode(proven.payload or b"", type=dict[str, Any])
    except (JoseError, msgspec.MsgspecError, ValueError):
        return None
    fits = proven.headers().get("typ") == "JWT" and claims.get("iss") == site.tokens.issuer
    return claims if fits and claims.get("sid") else None


# -- small things


async def _from_application(request: Web, path: str) -> Incoming:
    pairs = await _form(request)
    headers = {"Authorization": request.headers.get("authorization", "")}
    return Incoming("POST", _site(request).public_url + path, pairs, headers)


async def _form(request: Web) -> list[tuple[str, str]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Coded("API-108", "The body must be application/x-www-form-urlencoded")
    try:
        return _pairs((await request.body()).decode("ascii"))
    except UnicodeDecodeError:
        raise Coded("API-100", "The form is not valid") from None


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=False,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except (ValueError, UnicodeDecodeError):
        raise Coded("API-100", "The parameters are not valid") from None
    if any("\0" in value for _, value in pairs):
        raise Coded("API-100", "The parameters are not valid")
    return pairs


def _address(request: Web) -> str:
    return request.client.host if request.client else "local"


def _json(document: Any, cache: str = "no-store") -> Response[bytes]:
    body = msgspec.json.encode(document)
    return Response(body, media_type="application/json", headers={"cache-control": cache})


def _oauth(status: int, body: Any, headers: list[tuple[str, str]]) -> Response[bytes]:
    if not isinstance(body, dict):
        body = dict(body) if body else {}
    extra = {k.lower(): v for k, v in headers if k.lower() != "content-type"}
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/json",
        headers={**extra, "cache-control": "no-store", "pragma": "no-cache"},
    )


def _html(text: str, status: int = 200) -> Response[Any]:
    return Response(text.encode(), status_code=status, media_type=HTML, headers=dict(pages.HEADERS))


def _card(site: Site, status: int, title: str, text: str) -> Response[Any]:
    return _html(pages.refused(site.around, title, text), status)


def _redirect(where: str) -> Response[Any]:
    return Response(b"", status_code=303, headers={"location": where, "cache-control": "no-store"})


def origin_of(url: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
