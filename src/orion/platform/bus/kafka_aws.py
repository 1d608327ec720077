"""Tokens for Amazon MSK with IAM: a presigned request that the broker makes to see who we are.

The token is the URL of `kafka-cluster:Connect`, signed with AWS Signature Version 4 by the query,
in base64url. Credentials come from the environment, or from the container's credential address
(ECS, EKS Pod Identity): both are what a task on AWS is given. Nothing else is asked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from orion.platform.bus.kafka_settings import Token
from orion.platform.clock import SystemClock

VALID_S = 900
SERVICE = "kafka-cluster"
CONTAINER = "http://169.254.170.2"  # where ECS answers for a task
ANSWER_S = 5.0


@dataclass(frozen=True)
class Credentials:
    """Of AWS; `session` is empty for those of a user."""

    key: str
    secret: str
    session: str = ""


def signer(region: str, credentials: Callable[[], Credentials] | None = None) -> Token:
    """What the client library calls whenever it needs a new token."""
    clock, ask = SystemClock(), credentials or find_credentials

    def token(_config: str) -> tuple[str, float]:
        now = clock.now() // 1_000_000
        return sign(region, ask(), now), now + VALID_S

    return token


def sign(region: str, credentials: Credentials, now_s: int) -> str:
    """The token. `now_s`: seconds since the epoch."""
    at = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    host = f"kafka.{region}.amazonaws.com"
    scope = f"{at[:8]}/{region}/{SERVICE}/aws4_request"
    asked = {
        "Action": "kafka-cluster:Connect",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{credentials.key}/{scope}",
        "X-Amz-Date": at,
        "X-Amz-Expires": str(VALID_S),
        "X-Amz-SignedHeaders": "host",
    }
    if credentials.session:
        asked["X-Amz-Security-Token"] = credentials.session
    query = "&".join(f"{_plain(k)}={_plain(v)}" for k, v in sorted(asked.items()))
    nothing = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/\n{query}\nhost:{host}\n\nhost\n{nothing}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{digest}"
    key = b"AWS4" + credentials.secret.encode()
    for part in (at[:8], region, SERVICE, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    # The agent is not part of what is signed; the broker's side wants it there.
    url = f"https://{host}/?{query}&X-Amz-Signature={signature}&User-Agent=orion"
    return base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def _plain(text: str) -> str:
    return quote(text, safe="-_.~")


def find_credentials(environment: Mapping[str, str] | None = None) -> Credentials:
    """Raises OSError or KeyError; the library tries again later and tells."""
    env = os.environ if environment is None else environment
    if key := env.get("AWS_ACCESS_KEY_ID"):
        return Credentials(key, env["AWS_SECRET_ACCESS_KEY"], env.get("AWS_SESSION_TOKEN", ""))
    path = env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    url = f"{CONTAINER}{path}" if path else env["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    request = urllib.request.Request(url)
    if file := env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        request.add_header("Authorization", Path(file).read_text().strip())
    with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
        found = json.load(answer)
    return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found.get("Token", ""))
