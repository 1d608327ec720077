"""The platform in the cluster profile, run as a person runs it: `orion cluster`. People sign in at
its Keycloak.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import asyncpg
import httpx

from orion.app.running import settings_of_running
from orion.app.servers.keycloak import REALM
from orion.platform.config import Settings
from tests.cluster.oidc_journey import Provider
from tests.stack import Stack, claims

USERS = f"/admin/realms/{REALM}/users"


class ClusterStack(Stack):
    """As `Stack`; names of its processes are those of the services."""

    verb = "cluster"
    patience = 6.0  # it starts six servers before itself

    def __init__(self, name: str, *arguments: Any, environment: Mapping[str, str], **more: Any):
        super().__init__(name, *arguments, environment=environment, **more)
        self._provider: Provider | None = None

    @property
    def running(self) -> Settings:
        """The settings with which it runs."""
        return settings_of_running(self.settings)

    @property
    def provider(self) -> Provider:
        """Its Keycloak."""
        if self._provider is None:
            secret = (self.settings.secrets_dir / "oidc-client-orion-bff").read_text().strip()
            issuer = self.running.platform.oidc_issuer
            self._provider = Provider(issuer, {}, "username", "", bff_secret=secret)
        return self._provider

    async def token(self, user: str, *, fresh: bool = False) -> str:
        """A bearer token as the workstation gets it; kept until shortly before it ends."""
        ends, kept = self._tokens.get(user, (0.0, ""))
        if fresh or ends < time.time() + 60:
            kept = str((await self.provider.tokens_of(self, user))["access_token"])
            self._tokens[user] = (claims(kept)["exp"], kept)
        return kept

    async def sql(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Asks the database as its superuser, past all row policies."""
        door = await asyncpg.connect(self.running.platform.postgres_dsn)
        try:
            return await door.fetch(query, *values)
        finally:
            await door.close()

    async def allow(self, user: str, rfq_per_minute: int) -> None:
        """Changes the user's attribute at Keycloak."""
        issuer = self.running.platform.oidc_issuer
        password = (self.settings.secrets_dir / "keycloak-admin").read_text().strip()
        async with httpx.AsyncClient(
            base_url=issuer.partition("/realms/")[0], timeout=60.0
        ) as http:
            form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin"}
            form["password"] = password
            answer = await http.post("/realms/master/protocol/openid-connect/token", data=form)
            assert answer.status_code == 200, answer.text
            http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
            found = (await http.get(USERS, params={"username": user, "exact": "true"})).json()
            assert len(found) == 1, found
            one = (await http.get(f"{USERS}/{found[0]['id']}")).json()
            granted = json.loads(one["attributes"]["ent"][0]) | {"rfqPerMinute": rfq_per_minute}
            one["attributes"]["ent"] = [json.dumps(granted)]
            answer = await http.put(f"{USERS}/{one['id']}", json=one)
            assert answer.status_code == 204, answer.text
        self._tokens.pop(user, None)
