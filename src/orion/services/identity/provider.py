"""The OpenID Connect rules, by Authlib. Its server is synchronous and asks for records as it goes;
ours are in PostgreSQL
behind an event loop. So one `Exchange` is made per request: what may be asked for is loaded and
locked before, the rules run
on it in memory, and what they decided is written afterwards, all in one transaction.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authlib.oauth2 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc6749.errors import InvalidRequestError, OAuth2Error
from authlib.oauth2.rfc6749.models import AuthorizationCodeMixin, ClientMixin, TokenMixin
from authlib.oauth2.rfc6749.requests import OAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants.util import validate_nonce, validate_request_prompt

from orion.platform.ids import new_uuid
from orion.services.identity.config import Config
from orion.services.identity.records import Code, Refresh, SignIn, User
from orion.services.identity.tokens import SECOND, Tokens, fingerprint, new_secret

Response = tuple[int, Any, list[tuple[str, str]]]
SCOPES = ("openid", "profile")


@dataclass(frozen=True)
class Client(ClientMixin):
    """An application that people sign in to. Confidential: it must prove itself with its secret."""

    client_id: str
    secret: str
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> Any:
        return None  # the address must be named

    def get_allowed_scope(self, scope: Any) -> str:
        return " ".join(s for s in (scope or "").split() if s in SCOPES)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris  # whole and exact

    def check_client_secret(self, client_secret: str) -> bool:
        return hmac.compare_digest(self.secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in ("authorization_code", "refresh_token")


class Pairs(OAuth2Payload):
    """Parameters in the order they came, repeats kept."""

    def __init__(self, pairs: Sequence[tuple[str, str]]):
        self._data = dict(pairs)
        self._lists: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in pairs:
            self._lists[name].append(value)

    @property
    def data(self) -> dict[str, str]:
        return self._data

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return self._lists


class Incoming(OAuth2Request):
    """An HTTP request as the rules want to see it."""

    def __init__(
        self, method: str, uri: str, pairs: Sequence[tuple[str, str]], headers: Mapping[str, str]
    ):
        super().__init__(method, uri, headers=dict(headers))
        for name, value in pairs:
            # Also keeps what we quote in error descriptions inside the characters that RFC 6749
            # allows there.
            if not value.isascii() or not value.isprintable() or '"' in value or "\\" in value:
                raise InvalidRequestError(
                    f"Parameter '{_plain(name)}' has characters that are not allowed."
                )
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names):
            raise InvalidRequestError("A parameter came more than once.")
        self.payload = Pairs(pairs)  # type: ignore[assignment]
        self.parameters = dict(pairs)

    @property
    def form(self) -> dict[str, str]:
        return self.parameters if self.method == "POST" else {}


def _plain(name: str) -> str:
    return "".join(c for c in name[:40] if c.isascii() and (c.isalnum() or c in "_-."))


class _Code(AuthorizationCodeMixin):
    def __init__(self, row: Code):
        self.row = row
        self.code_challenge, self.code_challenge_method = row.challenge, "S256"

    def get_redirect_uri(self) -> str:
        return self.row.redirect_uri

    def get_scope(self) -> str:
        return self.row.scope


class _Refresh(TokenMixin):
    def __init__(self, row: Refresh):
        self.row = row

    def check_client(self, client: Client) -> bool:
        return self.row.sign_in.client_id == client.client_id

    def get_scope(self) -> str:
        return self.row.sign_in.scope


class _ProofKey(CodeChallenge):
    """PKCE by S256, always, for every client."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if data.get("code_challenge_method") != "S256" or not data.get("code_challenge"):
            raise InvalidRequestError("A 'code_challenge' by method S256 is required.")
        super().validate_code_challenge(grant, redirect_uri)


class _OpenId:
    """What OpenID Connect adds: the scope, the nonce, the prompt; and the ID token in the
    answer."""

    def __call__(self, grant: Any) -> None:
        grant.register_hook("after_validate_authorization_request_payload", self._check)
        grant.register_hook("after_validate_consent_request", validate_request_prompt)
        grant.register_hook("after_create_token_response", self._add_token)

    def _check(self, grant: Any, redirect_uri: str) -> None:
        if "openid" not in (grant.request.payload.scope or "").split():
            raise InvalidRequestError("The scope must have 'openid'.")
        validate_nonce(grant.request, lambda *_: False, required=True)

    def _add_token(self, grant: Any, response: Response) -> None:
        grant.server.add_identity_token(response[1])


class _CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]  # noqa: RUF012
    server: Exchange
    request: Any

    def generate_authorization_code(self) -> str:
        return new_secret(self.request.user.tenant)

    def save_authorization_code(self, code: str, request: Any) -> None:
        self.server.give_code(code, request)

    def query_authorization_code(self, code: str, client: Any) -> _Code | None:
        return self.server.take_code(client)

    def delete_authorization_code(self, authorization_code: _Code) -> None:
        pass  # marked as used with the session it gave, so that a second use is noticed

    def authenticate_user(self, authorization_code: _Code) -> User | None:
        return self.server.active_user()


class _RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]  # noqa: RUF012
    INCLUDE_NEW_REFRESH_TOKEN = True
    server: Exchange

    def authenticate_refresh_token(self, refresh_token: str) -> Any:
        return self.server.take_refresh()

    def authenticate_user(self, refresh_token: Any) -> User | None:
        return self.server.active_user()

    def revoke_old_credential(self, refresh_token: Any) -> None:
        pass  # marked as used by the one who writes the outcome


class Exchange(AuthorizationServer):
    """The rules for one request, over the records that were loaded for it. What it decided is in
    its attributes."""

    def __init__(
        self,
        clients: Mapping[str, Client],
        tokens: Tokens,
        config: Config,
        *,
        now: int,
        session_max_s: int,
        user: User | None = None,
        code: Code | None = None,
        refresh: Refresh | None = None,
    ):
        super().__init__(scopes_supported=list(SCOPES))
        self._clients, self._tokens, self._config = clients, tokens, config
        self._now, self._session_max = now, session_max_s * SECOND
        self._user, self._code, self._refresh = user, code, refresh
        self.new_code: Code | None = None
        self.new_sign_in: SignIn | None = None
        self.session_id: str | None = None
        self.new_refresh: str | None = None
        self.reused: SignIn | None = None  # a refresh token came a second time
        self.replayed: str | None = None  # the session of a code that came a second time
        self.register_grant(_CodeGrant, [_ProofKey(required=True), _OpenId()])
        self.register_grant(_RefreshGrant)
        generate: Any = self._generate
        self.register_token_generator("default", generate)

    # What Authlib asks of an integration.

    def query_client(self, client_id: str) -> Any:
        return self._clients.get(client_id)

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        self.new_refresh = token["refresh_token"]

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        pass

    def create_oauth2_request(self, request: Any) -> Any:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Response:
        return status, body, headers

    # What the grants ask for.

    def active_user(self) -> User | None:
        """The user of this request, unless disabled."""
        return self._user if self._user and not self._user.disabled else None

    def take_code(self, client: Client) -> _Code | None:
        """The code of this request, if it is good for this client now."""
        code = self._code
        if code is None or code.client_id != client.client_id:
            return None
        if code.session_id is not None:
            self.replayed = code.session_id
            return None
        return _Code(code) if self._now < code.expires_at else None

    def take_refresh(self) -> _Refresh | None:
        """The refresh token of this request, if it is good now."""
        row = self._refresh
        if row is None or row.sign_in.ended_at is not None:
            return None
        if row.used_at is not None:
            self.reused = row.sign_in
            return None
        if self._now >= row.sign_in.expires_at or self.active_user() is None:
            return None
        return _Refresh(row)

    def give_code(self, code: str, request: Any) -> None:
        """Remembers the code that is given out."""
        data = request.payload.data
        self.new_code = Code(
            tenant=request.user.tenant,
            code_hash=fingerprint(code),
            user_id=request.user.user_id,
            client_id=request.client.client_id,
            redirect_uri=data["redirect_uri"],
            scope=request.scope,
            nonce=data["nonce"],
            challenge=data["code_challenge"],
            auth_time=self._now,
            expires_at=self._now + self._config.code_s * SECOND,
        )

    def _sign_in(self, client: Client, user: User, scope: str) -> SignIn:
        if self._refresh is not None:
            return self._refresh.sign_in
        auth_time = self._code.auth_time if self._code else self._now
        self.new_sign_in = SignIn(
            tenant=user.tenant,
            session_id=new_uuid(),
            user_id=user.user_id,
            client_id=client.client_id,
            scope=scope,
            auth_time=auth_time,
            expires_at=auth_time + self._session_max,
        )
        return self.new_sign_in

    def _generate(self, *, client: Client, user: User, scope: str, **_: Any) -> dict[str, Any]:
        sign_in = self._sign_in(client, user, scope)
        self.session_id = sign_in.session_id
        left = max(1, (sign_in.expires_at - self._now) // SECOND)
        life = min(self._config.access_token_s, left)
        return {
            "token_type": "Bearer",
            "access_token": self._tokens.access(user, sign_in, life),
            "expires_in": life,
            "refresh_token": new_secret(user.tenant),
            "refresh_expires_in": left,
            "scope": scope,
        }

    def add_identity_token(self, answer: dict[str, Any]) -> None:
        """Puts the ID token of a fresh sign-in into the answer."""
        assert self._code is not None and self._user is not None and self.session_id is not None
        answer["id_token"] = self._tokens.identity(
            self._user,
            self.session_id,
            self._code.client_id,
            self._code.nonce,
            self._code.auth_time,
            self._config.access_token_s,
        )


def refusal(error: OAuth2Error) -> Response:
    """An error of the rules as a response."""
    return error()
