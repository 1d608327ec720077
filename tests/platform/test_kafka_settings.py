"""What reaches Kafka's client library, and what stands around a record: no broker is needed."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orion.platform.bus.kafka_aws import Credentials, find_credentials, sign, signer
from orion.platform.bus.kafka_record import Order, headers_of, key_of, record_of
from orion.platform.bus.kafka_settings import kafka_settings
from orion.platform.bus.port import Record
from orion.platform.bus.topics import catalogue
from orion.platform.config import ConfigError, PlatformConfig

HERE = PlatformConfig(kafka_bootstrap="127.0.0.1:9092", kafka_replication=1)
THERE = replace(HERE, kafka_bootstrap="b-1.example:9098, b-2.example:9098")
RECORD = Record(
    "rfq.quotes", 3, 41, 1_770_640_496_789_000, "alpha", "quote-1", 2, "QuoteReceived", "id-1",
    b'{"correlationId":"00a1aaaaaaaaaaaaaaaaaaaaaaaaaa","payload":{"rfqId":"rfq-1"}}',
)  # fmt: skip


def test_a_broker_on_this_machine_needs_nothing() -> None:
    client = kafka_settings(HERE).client("relay")
    assert client["bootstrap.servers"] == "127.0.0.1:9092"
    assert client["security.protocol"] == "PLAINTEXT"
    assert not any(name.startswith("sasl") for name in client)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"kafka_bootstrap": ""}, "ORION_KAFKA_BOOTSTRAP"),
        ({"kafka_bootstrap": "broker"}, "ORION_KAFKA_BOOTSTRAP"),
        ({}, "ORION_KAFKA_SECURITY"),  # in the clear, to another machine
        ({"kafka_security": "scram"}, "ORION_KAFKA_USER"),
        ({"kafka_security": "scram", "kafka_user": "rfq"}, "ORION_KAFKA_PASSWORD_FILE"),
        ({"kafka_security": "oauth"}, "ORION_KAFKA_TOKEN_URL"),
        ({"kafka_security": "msk-iam"}, "ORION_KAFKA_REGION"),
        ({"kafka_security": "tls", "kafka_ca_file": "missing.pem"}, "ORION_KAFKA_CA_FILE"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        kafka_settings(replace(THERE, **changes))
    assert error.value.key == key


def test_a_password_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    config = replace(THERE, kafka_security="scram", kafka_user="rfq", kafka_password_file=str(file))
    client = kafka_settings(config).client("relay")
    assert client["security.protocol"] == "SASL_SSL"
    assert client["sasl.mechanisms"] == "SCRAM-SHA-512"
    assert (client["sasl.username"], client["sasl.password"]) == ("rfq", "s3cret")


def test_msk_gets_tokens_by_a_callback() -> None:
    client = kafka_settings(
        replace(THERE, kafka_security="msk-iam", kafka_region="eu-west-1")
    ).client("relay")
    assert client["sasl.mechanisms"] == "OAUTHBEARER"
    assert callable(client["oauth_cb"])


@pytest.mark.parametrize(
    ("session", "signature"),
    [  # computed by AWS's own library (botocore 1.43, SigV4QueryAuth)
        ("", "d2f58e959641dc1b81f10b0646494168ee96088413601d6491982619ac0a004d"),
        (
            "session/token+with=signs",
            "06d0190a21585eb6aeafcd147adf53f917ebd4ca469f3ab3d6fa5fa1b73e77a3",
        ),
    ],
)
def test_a_token_is_signed_as_aws_does(session: str, signature: str) -> None:
    mine = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", session)
    now = int(datetime(2026, 2, 9, 12, 34, 56, tzinfo=UTC).timestamp())
    token = sign("eu-west-1", mine, now)
    url = base64.urlsafe_b64decode(token + "==").decode()
    assert f"X-Amz-Signature={signature}&" in url
    assert "=" not in token


def test_a_token_says_when_it_ends() -> None:
    token, end = signer("eu-west-1", lambda: Credentials("a", "b"))("")
    assert token and end > 1_700_000_000


def test_credentials_are_found_in_the_environment() -> None:
    env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}
    assert find_credentials(env) == Credentials("a", "b", "c")
    with pytest.raises(KeyError):
        find_credentials({})


class Message:
    """What the client library hands over."""

    def __init__(self, headers: Any, body: bytes) -> None:
        self._headers, self._body = headers, body

    def headers(self) -> Any:
        return self._headers

    def partition(self) -> int:
        return 3

    def value(self) -> bytes:
        return self._body


def test_a_record_comes_back_as_it_was() -> None:
    headers = headers_of(RECORD)
    assert record_of(Message(headers, RECORD.body), "rfq.quotes") == (RECORD, None)
    assert dict(headers)["traceparent"].startswith(b"00-")
    assert record_of(Message(headers_of(RECORD, 7), b""), "rfq.quotes")[1] == 7
    with pytest.raises(ValueError, match="not a record"):
        record_of(Message(None, b""), "rfq.quotes")


def test_keys_are_those_of_the_catalogue() -> None:
    assert key_of(RECORD, catalogue()["rfq.quotes"]) == b"rfq-1"
    assert key_of(RECORD, catalogue()["rfq.lifecycle"]) == b"quote-1"  # its own entity
    assert key_of(replace(RECORD, body=b"no JSON"), catalogue()["rfq.quotes"]) == b"quote-1"
    fields = {t.key: t.key_field for t in catalogue().values() if t.key_field}
    assert fields == {"rfq.quotes": "rfqId"}


def test_repeats_are_dropped_and_a_gap_heals() -> None:
    order = Order()
    came = [7, 8, 7, 8, 9, 12, 13, 10, 11, 12, 13, 14]
    taken = [n for n in came if order.look(n) == Order.TAKE]
    assert taken == [7, 8, 9, 10, 11, 12, 13, 14]
    assert order.look(20) == Order.GAP
    assert order.look(20, lost=15) == Order.TAKE  # told by the relay
    assert order.look(30, lost=25) == Order.GAP  # 21 to 24 are still missing
