"""Another issuer's tokens: which are taken, what their claims mean here, and which settings are
refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from orion.core.permissions import Role
from orion.platform.auth import HttpKeys, StaticKeys, Verifier
from orion.platform.clock import ManualClock
from orion.platform.config import ConfigError, Settings
from orion.platform.discovery import metadata_of
from orion.platform.errors import Coded, Unavailable
from orion.platform.issuer import Issuer, issuer_of
from orion.platform.issuer_keys import public_keys
from orion.platform.revocations import Revocations, Revoked
from tests.forged import SERVICE_KEY, Forger

ISSUER = "https://id.example/realms/orion"
ROLES = tuple(role.value for role in Role)
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1", "use": "sig"})
SECRET = OctKey.generate_key(256, {"kid": "secret"})
JWKS = KeySet([RSA, EC]).as_dict(private=False)
ENT = {"assetClasses": ["FX"], "venueIds": ["XORN"], "maxNotional": "1000", "rfqPerMinute": 5}

KEYCLOAK = {"ORION_OIDC_ISSUER": ISSUER}
PLAIN_KEYCLOAK = {  # without the realm of this project: RSA, typ JWT, roles where Keycloak has them
    **KEYCLOAK,
    "ORION_OIDC_ALGORITHMS": "RS256",
    "ORION_OIDC_TOKEN_TYPES": "JWT",
    "ORION_OIDC_ACCESS_MARK": "typ=Bearer",
    "ORION_OIDC_CLAIM_ROLES": "realm_access.roles",
    "ORION_OIDC_CLAIM_USER": "preferred_username",
    "ORION_OIDC_TENANTS": "alpha, beta",
}
COGNITO = {
    "ORION_OIDC_ISSUER": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example",
    "ORION_OIDC_ALGORITHMS": "RS256",
    "ORION_OIDC_TOKEN_TYPES": "-",
    "ORION_OIDC_ACCESS_MARK": "token_use=access",
    "ORION_OIDC_AUDIENCE_CLAIM": "client_id",
    "ORION_OIDC_AUDIENCE": "bff-client,program-client",
    "ORION_OIDC_CLAIM_ROLES": "cognito:groups",
    "ORION_OIDC_CLAIM_USER": "username",
    "ORION_OIDC_CLAIM_SESSION": "origin_jti",
}


def issuer(environment: Mapping[str, str]) -> Issuer:
    return issuer_of(Settings(environment=environment), ROLES)


def sign(header: Mapping[str, Any], claims: Mapping[str, Any], key: Any = RSA) -> str:
    algorithm = str(header["alg"])
    return jws.serialize_compact(dict(header), json.dumps(claims), key, algorithms=[algorithm])


class Elsewhere:
    """An issuer that is not ours, with its keys in our hands."""

    def __init__(self, environment: Mapping[str, str]):
        self.clock = ManualClock()
        self.now = self.clock.now() // 1_000_000
        self.issuer = issuer(environment)
        self.verifier = Verifier(
            StaticKeys(JWKS), issuer=self.issuer, clock=self.clock, service_key=SERVICE_KEY
        )

    def claims(self, **changes: Any) -> dict[str, Any]:
        base: dict[str, Any] = {
            "iss": self.issuer.url,
            "sub": "6b8f",
            "iat": self.now,
            "exp": self.now + 300,
            "jti": "j1",
            "tenant": "alpha",
            "name": "Ada Alder",
            "desk": "macro",
            "ent": ENT,
        }
        return {k: v for k, v in {**base, **changes}.items() if v is not None}

    async def code(self, token: str) -> str:
        """The code with which a token is refused."""
        with pytest.raises(Coded) as refusal:
            await self.verifier.verify(token)
        return refusal.value.code


class Keycloak(Elsewhere):
    def __init__(self) -> None:
        super().__init__(PLAIN_KEYCLOAK)

    def token(self, header: Mapping[str, Any] | None = None, key: Any = RSA, **changes: Any) -> str:
        head = {"alg": "RS256", "typ": "JWT", "kid": "rsa-1", **(header or {})}
        given = {
            "aud": ["orion", "account"],
            "typ": "Bearer",
            "preferred_username": "trader@alpha",
            "realm_access": {"roles": ["ROLE_TRADER", "offline_access", "ROLE_ROOT"]},
            "sid": "s1",
            **changes,
        }
        return sign({k: v for k, v in head.items() if v is not None}, self.claims(**given), key)


class Cognito(Elsewhere):
    def __init__(self) -> None:
        super().__init__(COGNITO)

    def token(self, **changes: Any) -> str:
        given = {
            "token_use": "access",
            "client_id": "bff-client",
            "username": "trader@alpha",
            "cognito:groups": ["ROLE_RISK", "eu-west-1_Example_Google"],
            "origin_jti": "o1",
            **changes,
        }
        return sign({"alg": "RS256", "kid": "rsa-1"}, self.claims(**given))


# -- who it is


async def test_a_token_of_keycloak_says_who_it_is() -> None:
    caller = await (there := Keycloak()).verifier.verify(there.token())
    assert (caller.tenant, caller.user, caller.subject) == ("alpha", "trader@alpha", "6b8f")
    assert (caller.display_name, caller.desk, caller.session_id) == ("Ada Alder", "macro", "s1")
    assert caller.roles == {"ROLE_TRADER"}, "roles that mean nothing here are left out"
    assert caller.grants is not None and caller.grants.max_notional == Decimal(1000)
    assert caller.service is None


async def test_a_token_of_cognito_says_who_it_is() -> None:
    caller = await (there := Cognito()).verifier.verify(there.token(ent=json.dumps(ENT)))
    assert (caller.tenant, caller.user, caller.session_id) == ("alpha", "trader@alpha", "o1")
    assert caller.roles == {"ROLE_RISK"}
    assert caller.grants is not None and caller.grants.asset_classes == {"FX"}


async def test_a_machines_token_is_called_as_its_client_and_stands_for_itself() -> None:
    there = Cognito()
    token = there.token(
        username=None, name=None, origin_jti=None, client_id="program-client", desk=None
    )
    caller = await there.verifier.verify(token)
    assert (caller.user, caller.display_name) == ("program-client", "program-client")
    assert (caller.session_id, caller.desk) == ("j1", "")


async def test_without_entitlements_nothing_may_be_dealt() -> None:
    caller = await (there := Keycloak()).verifier.verify(there.token(ent=None))
    grants = caller.grants
    assert grants is not None and (grants.max_notional, grants.rfq_per_minute) == (0, 0)
    assert not grants.asset_classes and not grants.venue_ids


async def test_a_claim_whose_name_has_dots_is_found_before_a_path() -> None:
    there = Elsewhere({**PLAIN_KEYCLOAK, "ORION_OIDC_CLAIM_TENANT": "https://orion.example/t"})
    given = there.issuer.translated(
        there.claims(**{
            "https://orion.example/t": "beta", "preferred_username": "u", "sid": "s",
            "realm_access": {"roles": "ROLE_RISK"},
        })
    )  # fmt: skip
    assert (given["tenant"], given["roles"]) == ("beta", ["ROLE_RISK"])


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": None},
        {"tenant": ""},
        {"tenant": "gamma"},  # not one of the settings
        {"tenant": "shared"},
        {"tenant": "Alpha"},
        {"tenant": "alpha\n"},
        {"tenant": ["alpha", "beta"]},
        {"tenant": {"alpha": 1}},
        {"realm_access": None},
        {"realm_access": {"roles": []}},
        {"realm_access": {"roles": ["offline_access"]}},
        {"realm_access": {"roles": {"ROLE_ADMIN": True}}},
        {"realm_access": ["ROLE_ADMIN"]},
    ],
)
async def test_an_account_without_tenant_or_role_has_no_place(changes: dict[str, Any]) -> None:
    there = Keycloak()
    assert await there.code(there.token(**changes)) == "AUTH-109"


@pytest.mark.parametrize("tenant", ["shared", "identity"])
async def test_no_issuer_speaks_for_what_is_nobodys(tenant: str) -> None:
    there = Cognito()
    assert await there.code(there.token(tenant=tenant)) == "AUTH-109"


async def test_a_tenant_may_come_as_a_list_of_one() -> None:
    caller = await (there := Keycloak()).verifier.verify(there.token(tenant=["beta"]))
    assert caller.tenant == "beta"


# -- what is refused


def forged_at_keycloak(there: Keycloak) -> dict[str, str]:
    """Name → a token that must be refused, made with the issuer's own keys where it could be."""
    now, other = there.now, RSAKey.generate_key(2048, {"kid": "rsa-1"})
    public = RSA.as_pem(private=False)
    head, body, signature = there.token().split(".")
    richer = _part(there.claims(aud="orion", typ="Bearer", roles=["ROLE_ADMIN"]))
    return {
        "another issuer": there.token(iss="https://id.example/realms/other"),
        "issuer with a slash": there.token(iss=ISSUER + "/"),
        "another audience": there.token(aud="account"),
        "no audience": there.token(aud=None),
        "audience in parts of a name": there.token(aud=["orion2", "orio"]),
        "an ID token": there.token(typ="ID", aud="orion-bff"),
        "an ID token for our audience": there.token(typ="ID"),
        "a refresh token": there.token(typ="Refresh"),
        "no mark": there.token(typ=None),
        "another realm's key under our kid": there.token(key=other),
        "the algorithm of another key": there.token({"alg": "PS256"}),
        "EC where RSA is configured": sign(
            {"alg": "ES256", "typ": "JWT", "kid": "ec-1"}, there.claims(aud="orion"), EC
        ),
        "HS256 with the public key": _by_hand(
            {"alg": "HS256", "typ": "JWT", "kid": "rsa-1"},
            there.claims(aud="orion", typ="Bearer"),
            lambda data: hmac.new(public, data, hashlib.sha256).digest(),
        ),
        "alg none": f"{_part({'alg': 'none', 'typ': 'JWT', 'kid': 'rsa-1'})}.{body}.{signature}",
        "type of our own tokens": there.token({"typ": "at+jwt"}),
        "no type": there.token({"typ": None}),
        "type of a service": there.token({"typ": "orion-service+jwt"}),
        "no kid": there.token({"kid": None}),
        "unknown kid": there.token({"kid": "rsa-2"}),
        "key in the header": there.token({"jwk": RSA.as_dict(private=False)}),
        "expired": there.token(iat=now - 400, exp=now - 6),
        "no end": there.token(exp=None),
        "lives too long": there.token(exp=now + 86_400),
        "issued later": there.token(iat=now + 60),
        "not before later": there.token(nbf=now + 60),
        "no subject": there.token(sub=None),
        "no session and no id": there.token(sid=None, jti=None),
        "a name with a line break": there.token(preferred_username="a\nb"),
        "entitlements that are a list": there.token(ent=["FX"]),
        "entitlements that are no JSON": there.token(ent="{"),
        "a limit that is no number": there.token(ent={**ENT, "maxNotional": "NaN"}),
        "a limit that is a float": there.token(ent={**ENT, "maxNotional": 1.5}),
        "signature stripped": f"{head}.{body}.",
        "payload changed": f"{head}.{richer}.{signature}",
    }


def _by_hand(header: Any, claims: Any, mac: Callable[[bytes], bytes]) -> str:
    """As an attacker writes it: no library in the way."""
    text = f"{_part(header)}.{_part(claims)}"
    return f"{text}.{base64.urlsafe_b64encode(mac(text.encode())).decode().rstrip('=')}"


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize("name", sorted(forged_at_keycloak(Keycloak())))
async def test_forged_tokens_are_refused(name: str) -> None:
    there = Keycloak()
    assert await there.code(forged_at_keycloak(there)[name]) == "AUTH-102"


@pytest.mark.parametrize("name", sorted(Forger(EC, 0).rows()))
async def test_the_table_of_forged_tokens_holds_for_another_issuer(name: str) -> None:
    """With keys, type and algorithm as our realm for Keycloak has them."""
    there = Elsewhere(KEYCLOAK)
    forger = Forger(EC, there.now, issuer=ISSUER)
    await there.verifier.verify(forger.user())
    token = forger.rows()[name]
    expected = {"AUTH-102"}
    if name in ("no tenant", "empty tenant", "no roles"):
        expected = {"AUTH-109"}
    if name in ("no entitlements", "audience a list", "no session", "entitlements without a limit"):
        return  # means something at other issuers: tested above by what it means
    assert await there.code(token) in expected


async def test_the_audience_of_cognito_is_the_client() -> None:
    there = Cognito()
    assert await there.code(there.token(client_id="someone-elses-client")) == "AUTH-102"
    assert await there.code(there.token(client_id=None, aud="bff-client")) == "AUTH-102"
    assert await there.code(there.token(token_use="id", aud="bff-client")) == "AUTH-102"


async def test_our_services_tokens_stay_what_they_are() -> None:
    there = Keycloak()
    caller = await there.verifier.verify(Forger(EC, there.now).service())
    assert caller.service == "rfq"


# -- ID tokens and logout tokens


async def test_an_id_token_is_taken_for_its_request_and_its_access_token() -> None:
    there = Keycloak()
    access = there.token()
    half = hashlib.sha256(access.encode()).digest()[:16]
    at_hash = base64.urlsafe_b64encode(half).decode().rstrip("=")
    good = {"typ": "ID", "aud": "orion-bff", "nonce": "n1", "at_hash": at_hash}

    async def prove(token: str) -> str:
        given = await there.verifier.verify_identity(
            token, client_id="orion-bff", nonce="n1", access_token=access
        )
        return f"{given.subject} {given.session_id}"

    assert await prove(there.token(**good)) == "6b8f s1"
    assert await prove(there.token(**{**good, "aud": ["orion-bff"]})) == "6b8f s1"
    assert await prove(there.token({"typ": None}, **good)) == "6b8f s1", "the type is optional"
    several = {**good, "aud": ["orion-bff", "other"]}
    assert await prove(there.token(**several, azp="orion-bff")) == "6b8f s1"
    for name, changes in {
        "another nonce": {**good, "nonce": "n2"},
        "no nonce": {**good, "nonce": None},
        "for another client": {**good, "aud": "other"},
        "made for another client": {**good, "azp": "other"},
        "several audiences and none named": several,
        "with another access token": {**good, "at_hash": "AAAA"},
        "an access token": {**good, "typ": "Bearer"},
        "another issuer": {**good, "iss": ISSUER + "x"},
        "expired": {**good, "iat": there.now - 400, "exp": there.now - 100},
    }.items():
        with pytest.raises(Coded) as refusal:
            await prove(there.token(**changes))
        assert refusal.value.code == "AUTH-102", name


async def test_a_logout_token_says_whose_sign_in_ended_and_nothing_else_does() -> None:
    there = Keycloak()
    events = {"http://schemas.openid.net/event/backchannel-logout": {}}
    good = {"typ": "Logout", "aud": "orion-bff", "events": events}

    async def hear(token: str) -> str:
        told = await there.verifier.verify_logout(token, client_id="orion-bff")
        return f"{told.subject}/{told.session_id}"

    assert await hear(there.token(**good)) == "6b8f/s1"
    assert await hear(there.token(**{**good, "sid": None})) == "6b8f/"
    assert await hear(there.token({"typ": "logout+jwt"}, **{**good, "exp": None})) == "6b8f/s1"
    for name, changes in {
        "an ID token": {"typ": "ID", "aud": "orion-bff", "nonce": "n1"},
        "with a nonce": {**good, "nonce": "n1"},
        "other events": {**good, "events": {"x": {}}},
        "events as a list": {**good, "events": list(events)},
        "another client's": {**good, "aud": "other"},
        "old": {**good, "iat": there.now - 900, "exp": None},
        "nobody's": {**good, "sub": None, "sid": None},
    }.items():
        with pytest.raises(Coded) as refusal:
            await hear(there.token(**changes))
        assert refusal.value.code == "AUTH-102", name


# -- keys and metadata


def test_only_keys_that_may_sign_are_taken() -> None:
    row = RSA.as_dict(private=False)
    small = {**row, "kid": "small", "n": row["n"][:171]}  # 1024 bits
    document = {
        "keys": [
            row,
            EC.as_dict(private=False),
            {**row, "kid": "for encryption", "use": "enc", "alg": "RSA-OAEP"},
            {**row, "kid": "another algorithm", "alg": "HS256"},
            {**SECRET.as_dict(private=True)},
            small,
            {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
            {"kty": "OKP", "kid": "curve", "crv": "Ed25519", "x": "AA"},
            {k: v for k, v in row.items() if k != "kid"},
            "nonsense",
        ]
    }
    assert set(public_keys(document)) == {"rsa-1", "ec-1"}
    for nonsense in (None, [], {}, {"keys": {}}, {"keys": [row] * 101}):
        with pytest.raises(ValueError, match="JWKS"):
            public_keys(nonsense)


async def test_a_key_that_was_taken_back_does_not_stay_good() -> None:
    clock, document, reads = ManualClock(), dict(JWKS), 0

    async def fetch() -> Any:
        nonlocal reads
        reads += 1
        return document

    keys = HttpKeys(fetch, clock)
    assert await keys.key("rsa-1") is not None
    document = {"keys": [k for k in JWKS["keys"] if k["kid"] != "rsa-1"]}
    assert await keys.key("rsa-1") is not None and reads == 1
    clock.advance(301_000_000)
    await keys.key("rsa-1")  # asks again beside it
    assert keys._again is not None
    await keys._again
    assert reads == 2 and await keys.key("rsa-1") is None


METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/certs",
}


def test_metadata_is_taken_only_from_the_configured_issuer() -> None:
    assert metadata_of(METADATA, ISSUER).jwks_uri == f"{ISSUER}/certs"
    for changes in (
        {"issuer": "https://id.example/realms/other"},
        {"issuer": ISSUER + "/"},
        {"issuer": None},
        {"jwks_uri": "http://id.example/certs"},
        {"jwks_uri": None},
        {"token_endpoint": "file:///etc/passwd"},
        {"authorization_endpoint": ["https://id.example"]},
        {"end_session_endpoint": "javascript:alert(1)"},
    ):
        with pytest.raises(Unavailable):
            metadata_of({**METADATA, **changes}, ISSUER)
    here = "http://127.0.0.1:8180/realms/orion"
    local = {k: v.replace(ISSUER, here) for k, v in METADATA.items()}
    assert metadata_of(local, here).token_endpoint == f"{here}/token"
    with pytest.raises(Unavailable):
        metadata_of({**local, "jwks_uri": "http://evil.example/certs"}, here)


# -- settings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ORION_OIDC_ISSUER", "http://id.example/realms/orion"),
        ("ORION_OIDC_ISSUER", "id.example"),
        ("ORION_OIDC_ISSUER", "https://id.example/?realm=orion"),
        ("ORION_OIDC_JWKS_URL", "http://id.example/certs"),
        ("ORION_OIDC_ALGORITHMS", "HS256"),
        ("ORION_OIDC_ALGORITHMS", "none"),
        ("ORION_OIDC_ALGORITHMS", "ES256,none"),
        ("ORION_OIDC_ALGORITHMS", " , "),
        ("ORION_OIDC_TOKEN_TYPES", "anything"),
        ("ORION_OIDC_TOKEN_TYPES", "orion-service+jwt"),
        ("ORION_OIDC_ACCESS_MARK", "typ"),
        ("ORION_OIDC_AUDIENCE", ","),
        ("ORION_OIDC_AUDIENCE_CLAIM", "scope"),
    ],
)
def test_settings_that_would_take_too_much_are_refused(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=key):
        issuer({**KEYCLOAK, key: value})


@pytest.mark.parametrize("types", ["JWT", "-", "at+jwt,JWT"])
def test_a_type_that_says_nothing_needs_a_mark(types: str) -> None:
    with pytest.raises(ConfigError, match="ORION_OIDC_ACCESS_MARK"):
        issuer({**KEYCLOAK, "ORION_OIDC_TOKEN_TYPES": types})


def test_the_embedded_provider_is_the_default_and_its_tokens_keep_their_shape() -> None:
    own = issuer({"ORION_OIDC_ALGORITHMS": "RS256", "ORION_OIDC_AUDIENCE": "x"})
    assert own == Issuer("http://localhost:8080/oidc") and not own.is_external


# -- revocations of sessions that may outlive ours


def test_a_bounded_revocation_ends_what_was_given_until_then() -> None:
    revocations, heard = Revocations(), []
    revocations.listen(heard.append)
    item = Revoked(at=100_000_000, session_id="s1", is_bounded=True)
    revocations.add([item, item])
    assert heard == [item]
    assert revocations.covers("s1", "u", 100) and not revocations.covers("s1", "u", 101)
    revocations.add([Revoked(at=90_000_000, session_id="s1", is_bounded=True)])
    assert revocations.covers("s1", "u", 100), "an older one takes nothing back"


def test_who_is_kept_out_is_so_until_it_is_lifted() -> None:
    revocations = Revocations()
    revocations.add([Revoked(at=1 << 61, subject="u1")])
    assert revocations.covers("s", "u1", 4_000_000_000)
    revocations.add([Revoked(at=200_000_000, subject="u1", is_lifted=True)])
    assert revocations.covers("s", "u1", 200) and not revocations.covers("s", "u1", 201)
