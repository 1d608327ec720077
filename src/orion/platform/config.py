"""Configuration: one typed, documented place. Order of precedence: flags, environment (`ORION_…`),
file (`orion.toml`), defaults.

A section is a frozen dataclass whose fields carry their meaning in `metadata`: `doc`, and where it
fits `min`, `max`, `choices`. Everything is validated at start; an error names the key and the
remedy.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
CHECKOUT = Path(__file__).resolve().parents[3]
BUILD = "0.1.0"


class ConfigError(Exception):
    """A key has a value that cannot be used; the text names the key and what to do."""

    def __init__(self, key: str, problem: str, remedy: str):
        self.key = key
        super().__init__(f"{key}: {problem}. {remedy}")


def option(default: Any, doc: str, **limits: Any) -> Any:
    """A documented field of a section. `limits`: min, max, choices."""
    return field(default=default, metadata={"doc": doc, **limits})


@dataclass(frozen=True)
class PlatformConfig:
    """What every process of a platform shares. Environment: ORION_<FIELD>."""

    env: str = option("dev", "Environment name: the first part of every topic's name")
    profile: str = option("embedded", "Which adapters are used", choices=("embedded", "cluster"))
    port: int = option(8080, "The one public port", min=1, max=65535)
    bind: str = option("loopback", "Addresses to listen on: loopback, or a comma-separated list")
    http_listen: str = option(
        "",
        "host:port where a process by itself takes HTTP or the stream, behind a proxy; empty: the"
        " acceptor of `orion up` hands sockets over",
    )
    metrics_listen: str = option(
        "", "host:port of a process's metrics and health, for a scraper; empty: only its socket"
    )
    data_dir: Path = option(CHECKOUT / ".orion", "Where data, secrets and logs lie")
    public_url: str = option("", "How browsers reach the platform; default http://localhost:PORT")
    postgres_dsn: str = option(
        "", "An external PostgreSQL instead of the embedded one (superuser DSN)"
    )
    oidc_issuer: str = option("", "OIDC issuer; default the embedded provider at PUBLIC_URL/oidc")
    oidc_jwks_url: str = option(
        "",
        "Where the issuer's keys are; default where its metadata says (the embedded provider's:"
        " over loopback)",
    )
    oidc_client_id: str = option("orion-bff", "The workstation's client id at the issuer")
    oidc_client_secret_file: str = option(
        "", "File with that client's secret; default secrets/oidc-client-orion-bff in DATA_DIR"
    )
    oidc_scope: str = option("openid profile", "Scopes that a sign-in asks for")
    oidc_logout_parameter: str = option(
        "post_logout_redirect_uri",
        "How the issuer's logout address is told where to go on; logout_uri for Cognito",
        choices=("post_logout_redirect_uri", "logout_uri"),
    )
    oidc_audience: str = option(
        "orion", "Audiences of an external issuer's access tokens that are taken, with commas"
    )
    oidc_audience_claim: str = option(
        "aud",
        "Claim of the audience; client_id for Cognito, whose access tokens have no aud",
        choices=("aud", "client_id"),
    )
    oidc_algorithms: str = option(
        "ES256",
        "Signatures of an external issuer that are taken: some of ES256, ES384, RS256, PS256",
    )
    oidc_token_types: str = option(
        "at+jwt",
        "Header types of its access tokens: at+jwt, application/at+jwt, JWT, or - for none",
    )
    oidc_access_mark: str = option(
        "",
        "NAME=VALUE of a claim that only its access tokens have; needed for the types JWT and -",
    )
    oidc_tenants: str = option(
        "", "Tenants that an external issuer may speak for, with commas; empty: any"
    )
    oidc_claim_tenant: str = option("tenant", "Claim of the tenant (a.b is b inside of a)")
    oidc_claim_user: str = option("user", "Claim of the user's name, such as trader@alpha")
    oidc_claim_name: str = option("name", "Claim of the name to show")
    oidc_claim_desk: str = option("desk", "Claim of the desk")
    oidc_claim_roles: str = option("roles", "Claim of the roles, such as realm_access.roles")
    oidc_claim_entitlements: str = option("ent", "Claim of the entitlements")
    oidc_claim_session: str = option("sid", "Claim of the provider's session")
    seed: int = option(4711, "Seed of simulated prices and dealers", min=0, max=2**31)
    scenario: str = option("calm", "Market scenario of the simulator")
    replay: str = option("", "A recorded file to replay instead of simulating its instruments")
    speed: str = option("1", "Replay speed: 0.2, 1, 5 … or max")
    once: bool = option(False, "Replay the file once instead of looping")
    processes: str = option("default", "Grouping: default, a number 1-4, or per-service")
    copies: int = option(
        1,
        "Copies of every process; with two or more the others take over what one leaves",
        min=1,
        max=4,
    )
    log_level: str = option(
        "info", "Least level that is logged", choices=("debug", "info", "warning", "error")
    )
    otlp_endpoint: str = option(
        "", "Where OpenTelemetry spans go, such as http://localhost:4318/v1/traces; empty: off"
    )
    faults: str = option(
        "",
        "Folder through which a fault test lets processes die at named edges or live by a wrong"
        " clock; refused unless ORION_ENV is chaos",
    )
    kafka_bootstrap: str = option(
        "", "Kafka's brokers as host:port, with commas; needed in the cluster profile"
    )
    kafka_security: str = option(
        "none",
        "How brokers are reached: none (on this machine only), tls, scram (SCRAM-SHA-512), plain,"
        " oauth, msk-iam; all but none with TLS",
        choices=("none", "tls", "scram", "plain", "oauth", "msk-iam"),
    )
    kafka_user: str = option("", "User for scram and plain, client id for oauth")
    kafka_password_file: str = option("", "File with that user's password or client's secret")
    kafka_token_url: str = option("", "Where oauth gets its tokens")
    kafka_region: str = option("", "AWS region of the brokers, for msk-iam")
    kafka_ca_file: str = option("", "PEM file of the authorities that sign brokers' certificates")
    kafka_certificate_file: str = option(
        "", "PEM file of our certificate, where brokers ask for it"
    )
    kafka_key_file: str = option("", "PEM file of that certificate's key")
    kafka_replication: int = option(
        3, "Copies of each topic; 1 where there is one broker", min=1, max=9
    )
    session_idle_seconds: int = option(
        3600, "A browser session ends after so long without use", min=30, max=86400
    )
    session_max_seconds: int = option(
        28800, "A browser session ends after so long in any case", min=60, max=86400
    )
    rpc_addresses: str = option(
        "",
        "Where services answer RPC: empty for this machine's unix sockets; loopback:PORT for ports"
        " from there; a pattern such as dns:///{service}:7400, or service=host:port|host:port, …",
    )
    rpc_listen: str = option(
        "", "Where this process answers RPC, such as 0.0.0.0:7400; empty: where its address says"
    )
    rpc_advertise: str = option(
        "",
        "The address under which other copies reach this process; empty: where it listens, by the"
        " machine's name where that is any address",
    )
    rpc_tls: str = option(
        "",
        "RPC over TLS with a certificate on both sides: on, off; empty: on in the cluster profile",
        choices=("", "on", "off"),
    )
    rpc_tls_dir: str = option(
        "",
        "Folder with ca.pem, PROCESS.pem and PROCESS.key; empty: DATA_DIR/secrets/tls, where a"
        " platform on one machine makes them itself",
    )
    rpc_ca_file: str = option("", "Authorities that sign RPC certificates; empty: in that folder")
    rpc_certificate_file: str = option("", "This process's certificate; empty: in that folder")
    rpc_key_file: str = option("", "That certificate's key; empty: in that folder")
    redis_url: str = option(
        "", "The cache of the cluster profile, such as redis://host:6379/0; rediss:// for TLS"
    )
    redis_user: str = option("", "User at the Redis; empty: its default user")
    redis_password_file: str = option("", "File with the Redis password; empty: none")
    redis_ca_file: str = option("", "Certificates to trust for rediss://; empty: the machine's")
    redis_cert_file: str = option("", "Own certificate for a Redis that asks for one (PEM)")
    redis_key_file: str = option("", "Key of that certificate (PEM)")
    redis_timeout_ms: int = option(
        250, "Longest wait for the Redis; then it counts as lost until it answers", min=10, max=5000
    )
    blob_url: str = option(
        "",
        "Where archives lie: a folder as file:///…, or s3://bucket/prefix; empty: DATA_DIR/blobs",
    )
    blob_endpoint: str = option(
        "", "The S3 endpoint, such as http://host:8333; empty: AWS, by region"
    )
    blob_region: str = option("us-east-1", "Region of the bucket")
    blob_credentials_file: str = option(
        "",
        "File with access key and secret key, a line each; empty: the machine's own role",
    )
    blob_ca_file: str = option("", "Certificates to trust besides the machine's, for S3 over TLS")
    blob_timeout_ms: int = option(
        10_000, "Longest wait for one request to S3", min=100, max=300_000
    )


def _kind(annotation: Any) -> Any:
    args = [a for a in typing.get_args(annotation) if a is not types.NoneType]
    optional = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return args[0] if optional else annotation


def _convert(key: str, raw: Any, annotation: Any) -> Any:
    kind = _kind(annotation)
    try:
        if kind is bool:
            if isinstance(raw, bool):
                return raw
            text = str(raw).lower()
            if text not in ("1", "0", "true", "false", "yes", "no", "on", "off"):
                raise ValueError
            return text in ("1", "true", "yes", "on")
        if kind is int:
            if isinstance(raw, bool | float):
                raise ValueError
            return int(raw)
        if kind is float:
            return float(raw)
        if kind is Decimal:
            return Decimal(str(raw))
        if kind is Path:
            return Path(raw).expanduser().absolute()
        if typing.get_origin(kind) is tuple:
            items = raw.split(",") if isinstance(raw, str) else raw
            return tuple(str(i).strip() for i in items if str(i).strip())
    except (ValueError, TypeError, InvalidOperation):
        expected = getattr(kind, "__name__", str(kind))
        raise ConfigError(
            key, f"{raw!r} is not {expected}", f"Set it to a value of type {expected}"
        ) from None
    return str(raw)


def _check(key: str, value: Any, limits: Mapping[str, Any]) -> None:
    low, high, choices = limits.get("min"), limits.get("max"), limits.get("choices")
    if low is not None and value < low:
        raise ConfigError(key, f"{value} is below {low}", f"Use {low} or more")
    if high is not None and value > high:
        raise ConfigError(key, f"{value} is above {high}", f"Use {high} or less")
    if choices is not None and value not in choices:
        raise ConfigError(
            key, f"{value!r} is not known", f"Use one of: {', '.join(map(str, choices))}"
        )


class Settings:
    """All configuration of this process. `platform` is shared; `section` reads a service's part."""

    def __init__(
        self,
        flags: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        file: Path | None = None,
    ):
        self._flags = {k: v for k, v in (flags or {}).items() if v is not None}
        self._environment = dict(os.environ if environment is None else environment)
        self._file = self._read_file(file)
        self.platform: PlatformConfig = self.section("", PlatformConfig)

    def _read_file(self, file: Path | None) -> dict[str, Any]:
        named = file or (Path(p) if (p := self._environment.get("ORION_CONFIG")) else None)
        path = named or CHECKOUT / "orion.toml"
        if not path.exists():
            if named:
                raise ConfigError(
                    "ORION_CONFIG", f"{path} does not exist", "Name an existing TOML file"
                )
            return {}
        try:
            return tomllib.loads(path.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise ConfigError(
                str(path), f"cannot be read ({error})", "Mend the file or remove it"
            ) from None

    def section(self, name: str, cls: type[T]) -> T:
        """The section as its dataclass. Raises ConfigError."""
        table = self._file.get(name, {}) if name else self._file
        if not isinstance(table, dict):
            raise ConfigError(name, "is not a table", f"Write it as [{name}]")
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        for key in table:
            if key not in known and not (not name and isinstance(table[key], dict)):
                raise ConfigError(
                    f"{name}.{key}".lstrip("."),
                    "is not a setting",
                    f"Known: {', '.join(sorted(known))}",
                )
        for f in fields(cls):  # type: ignore[arg-type]
            variable = "ORION_" + (f"{name}_" if name else "").upper() + f.name.upper()
            sources = (
                (self._flags if not name else {}, f.name),
                (self._environment, variable),
                (table, f.name),
            )
            raw = next((s[k] for s, k in sources if k in s), None)
            if raw is None or raw == "":
                continue
            values[f.name] = _convert(variable, raw, hints[f.name])
            _check(variable, values[f.name], f.metadata)
        return cls(**values)

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of all ORION_ variables that are set."""
        return tuple(name for name in self._environment if name.startswith("ORION_"))

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the file's sections."""
        return tuple(name for name, value in self._file.items() if isinstance(value, dict))

    def child_environment(self) -> dict[str, str]:
        """The environment that gives a child process the same platform settings."""
        mine = {
            f"ORION_{f.name.upper()}": str(getattr(self.platform, f.name))
            for f in fields(PlatformConfig)
        }
        return {**self._environment, **{k: v for k, v in mine.items() if v != ""}}

    # What follows from the settings, in one place.

    @property
    def public_url(self) -> str:
        """The canonical address of the platform, without a slash at the end."""
        return (self.platform.public_url or f"http://localhost:{self.platform.port}").rstrip("/")

    @property
    def issuer(self) -> str:
        """The OIDC issuer whose tokens are taken."""
        return self.platform.oidc_issuer or f"{self.public_url}/oidc"

    @property
    def has_external_issuer(self) -> bool:
        """True when people sign in elsewhere: the embedded provider is off then."""
        return bool(self.platform.oidc_issuer)

    @property
    def jwks_url(self) -> str:
        """Where the embedded provider's public keys are read."""
        return self.platform.oidc_jwks_url or f"http://127.0.0.1:{self.platform.port}/oidc/jwks"

    @property
    def data_dir(self) -> Path:
        return self.platform.data_dir

    @property
    def secrets_dir(self) -> Path:
        return self.platform.data_dir / "secrets"

    @property
    def run_dir(self) -> Path:
        """A short private folder for sockets, named by the data folder (unix socket paths end at
        107 bytes).
        """
        name = hashlib.blake2b(str(self.platform.data_dir).encode(), digest_size=6).hexdigest()
        return Path(tempfile.gettempdir()) / f"orion-{os.getuid()}-{name}"

    @property
    def is_embedded(self) -> bool:
        return self.platform.profile == "embedded"

    @property
    def rpc_is_secure(self) -> bool:
        """Whether RPC goes over TLS."""
        wanted = self.platform.rpc_tls
        return wanted == "on" if wanted else not self.is_embedded

    @property
    def rpc_tls_dir(self) -> Path:
        """Where certificates lie."""
        return Path(self.platform.rpc_tls_dir or self.secrets_dir / "tls").expanduser().absolute()

    def door(self, kind: str, process: str = "") -> Path:
        """Where the acceptor hands sockets over: `web` to the BFF, `stream` to the edge; to each
        copy of the process at a door of its own.
        """
        copy = process.partition(".")[2]
        return self.run_dir / f"{kind}{f'.{copy}' if copy else ''}.http.sock"

    def rpc_address(self, process: str) -> str:
        """The unix socket of a process for RPC."""
        return f"unix:{self.run_dir}/{process}.rpc.sock"


def describe(name: str, cls: type) -> list[tuple[str, str, str]]:
    """Rows (environment variable, default, meaning) of a section: the configuration reference is
    made from this.
    """
    prefix = "ORION_" + (f"{name}_" if name else "").upper()
    return [
        (prefix + f.name.upper(), str(f.default), f.metadata.get("doc", "")) for f in fields(cls)
    ]
