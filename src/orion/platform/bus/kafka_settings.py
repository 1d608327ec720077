"""How this process reaches Kafka: settings, checked at start, as the client library takes them.

none       no encryption, no identity: a broker on this machine
tls        TLS; an identity where a certificate is given
scram      TLS and SCRAM-SHA-512: user and a file with the password
plain      TLS and PLAIN: the same, for services that know nothing else
oauth      TLS and tokens of an OIDC issuer (client credentials)
msk-iam    TLS and tokens signed with AWS credentials (kafka_aws.py)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orion.platform.config import ConfigError, PlatformConfig

Token = Callable[[str], tuple[str, float]]  # what the library calls back: (token, when it ends)
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class KafkaSettings:
    """Everything a client needs. `client` is the part that all clients share. `token` gives the
    tokens of OAUTHBEARER; it is called in a thread of the library's.
    """

    bootstrap: str
    env: str = "dev"
    replication: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    token: Token | None = None

    def client(self, name: str) -> dict[str, Any]:
        """The configuration of a client."""
        return {
            "bootstrap.servers": self.bootstrap,
            "client.id": f"orion-{self.env}-{name}",
            "socket.keepalive.enable": True,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
            "allow.auto.create.topics": False,
            "log_level": 2,  # what goes wrong comes out as errors, in our own log
            **self.options,
            **({"oauth_cb": self.token} if self.token else {}),
        }

    def topic(self, key: str, major: int = 1) -> str:
        """The full name of a topic."""
        return f"{self.env}.{key}.v{major}"


def kafka_settings(config: PlatformConfig) -> KafkaSettings:
    """From the platform's configuration. Raises ConfigError."""
    brokers = [b.strip() for b in config.kafka_bootstrap.split(",") if b.strip()]
    if not brokers:
        raise ConfigError("ORION_KAFKA_BOOTSTRAP", "is not set", "Name brokers as host:port,…")
    for broker in brokers:
        _, _, port = broker.rpartition(":")
        if not port.isdecimal():
            raise ConfigError("ORION_KAFKA_BOOTSTRAP", f"{broker!r} has no port", "Write host:port")
    security = config.kafka_security
    if security == "none" and any(b.rpartition(":")[0] not in LOOPBACK for b in brokers):
        raise ConfigError(
            "ORION_KAFKA_SECURITY",
            "none is for a broker on this machine only",
            "Use tls, scram, plain, oauth or msk-iam",
        )
    options, token = _secured(config)
    return KafkaSettings(",".join(brokers), config.env, config.kafka_replication, options, token)


def _secured(config: PlatformConfig) -> tuple[dict[str, Any], Token | None]:
    security = config.kafka_security
    if security == "none":
        return {"security.protocol": "PLAINTEXT"}, None
    options = {"security.protocol": "SSL" if security == "tls" else "SASL_SSL", **_files(config)}
    if security in ("scram", "plain"):
        options["sasl.mechanisms"] = "SCRAM-SHA-512" if security == "scram" else "PLAIN"
        options["sasl.username"] = _needed(config.kafka_user, "ORION_KAFKA_USER", security)
        options["sasl.password"] = _secret(config, security)
    elif security == "oauth":
        options |= {
            "sasl.mechanisms": "OAUTHBEARER",
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": _needed(
                config.kafka_token_url, "ORION_KAFKA_TOKEN_URL", security
            ),
            "sasl.oauthbearer.client.id": _needed(config.kafka_user, "ORION_KAFKA_USER", security),
            "sasl.oauthbearer.client.secret": _secret(config, security),
        }
    elif security == "msk-iam":
        from orion.platform.bus.kafka_aws import signer

        options["sasl.mechanisms"] = "OAUTHBEARER"
        return options, signer(_needed(config.kafka_region, "ORION_KAFKA_REGION", security))
    return options, None


def _files(config: PlatformConfig) -> dict[str, Any]:
    """Certificates: whom we trust, and who we are."""
    found: dict[str, Any] = {}
    for key, option, file in (
        ("ORION_KAFKA_CA_FILE", "ssl.ca.location", config.kafka_ca_file),
        ("ORION_KAFKA_CERTIFICATE_FILE", "ssl.certificate.location", config.kafka_certificate_file),
        ("ORION_KAFKA_KEY_FILE", "ssl.key.location", config.kafka_key_file),
    ):
        if file and not Path(file).is_file():
            raise ConfigError(key, f"{file} is not a file", "Name an existing PEM file")
        if file:
            found[option] = file
    if bool(config.kafka_certificate_file) != bool(config.kafka_key_file):
        raise ConfigError(
            "ORION_KAFKA_KEY_FILE", "a certificate and its key go together", "Set both or none"
        )
    return found


def _needed(value: str, key: str, security: str) -> str:
    if not value:
        raise ConfigError(key, f"is not set and {security} needs it", "Set it")
    return value


def _secret(config: PlatformConfig, security: str) -> str:
    key = "ORION_KAFKA_PASSWORD_FILE"
    file = Path(_needed(config.kafka_password_file, key, security))
    try:
        text = file.read_text().strip()
    except OSError as error:
        raise ConfigError(key, f"cannot be read ({error})", "Name a readable file") from None
    return _needed(text, key, security)
