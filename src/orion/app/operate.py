"""The verbs that speak with the running platform, or look into its data."""

from __future__ import annotations

import getpass
import importlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

from orion.app.certs import CLI as VOICE
from orion.app.certs import credentials_of
from orion.app.letters import letter_copy, letter_fact
from orion.app.origin import Origin
from orion.app.profiles import SERVICE_KEY, addresses, secrets
from orion.app.running import database_of, settings_of_running
from orion.app.sources import open_source
from orion.platform.auth import ServiceTokens
from orion.platform.clock import SystemClock
from orion.platform.config import Settings
from orion.platform.datadir import StartError
from orion.platform.rpc import Directory, rpc_errors
from orion.wire.stubs import identity_pb2, identity_pb2_grpc

ALL = "all"  # every read model
DEADLINE_S = 5.0


class NotThere(StartError):
    """A verb that this version does not have."""

    exit_code = 2


def part(name: str, verb: str) -> ModuleType:
    """The module that does the work of a verb. Raises NotThere: nothing pretends."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise NotThere(f"`orion {verb}` is not there yet in this version.") from None
        raise


@asynccontextmanager
async def _identity(
    settings: Settings,
) -> AsyncIterator[tuple[identity_pb2_grpc.IdentityServiceStub, Directory]]:
    running = settings_of_running(settings)
    tokens = ServiceTokens(secrets(running).read(SERVICE_KEY), VOICE, SystemClock())
    directory = Directory(addresses(running), tokens, credentials=credentials_of(running, VOICE))
    try:
        async with rpc_errors():
            yield identity_pb2_grpc.IdentityServiceStub(directory.channel("identity")), directory
    finally:
        await directory.close()


async def token(settings: Settings, user: str) -> str:
    """A bearer token of this user from the running platform. Raises StartError or Coded.

    `dealer:NORTHGATE` gives an outside dealer's program the credential for its stream, good for two
    minutes: long
    enough to open it.
    """
    if user.startswith("dealer:"):
        key = secrets(settings_of_running(settings)).read(SERVICE_KEY)
        return ServiceTokens(key, user, SystemClock(), life_s=120)()
    async with _identity(settings) as (stub, directory):
        request = identity_pb2.MintTokenRequest(user=user)
        answer = await stub.MintToken(request, timeout=DEADLINE_S, metadata=directory.as_service())
        return answer.access_token


async def set_user(settings: Settings, user: str, *, disabled: bool) -> None:
    """Disables a user (sessions and tokens end within a second) or enables one again."""
    async with _identity(settings) as (stub, directory):
        request = identity_pb2.DisableUserRequest(user=user, disabled=disabled)
        await stub.DisableUser(request, timeout=DEADLINE_S, metadata=directory.as_service())


async def migrate_database(settings: Settings) -> list[str]:
    """Applies the missing migrations."""
    from orion.platform.store.migrate import NewerDatabase, migrate

    async with database_of(settings, as_it_is=True) as door:
        try:
            return await migrate(door.admin_dsn, door.passwords)
        except NewerDatabase as error:
            raise StartError(f"{settings.data_dir}: {error}.") from error


async def read_models(settings: Settings) -> list[Any]:
    """How each read model does: orion.platform.rebuild.State."""
    from orion.app.verify import projections
    from orion.platform.rebuild import states

    async with database_of(settings) as door:
        return await states(sorted(projections(), key=lambda p: p.name), door.dsn("orion_owner"))


async def rebuild(
    settings: Settings, names: Sequence[str], *, check: bool, origin: Origin = Origin.LOG
) -> list[Any]:
    """Rebuilds read models from what was said and swaps them in, or only compares (`check`)."""
    from orion.app.verify import projections
    from orion.platform.archive_read import ArchiveDamaged
    from orion.platform.rebuild import LogIncomplete, Rebuilder

    known = {projection.name: projection for projection in projections()}
    # A table may be named as well as the read model it belongs to.
    homes = {t: p.name for p in known.values() for t in p.tables} | {n: n for n in known}
    unknown = [name for name in names if name not in homes and name != ALL]
    if unknown:
        raise StartError(
            f"There is no read model {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        )
    wanted = sorted(known) if ALL in names else dict.fromkeys(homes[name] for name in names)
    done: list[Any] = []
    async with database_of(settings) as door, open_source(settings, origin, door) as source:
        for name in wanted:
            work = Rebuilder(known[name], door.dsn("orion_owner"), source=source)
            try:
                done.append(await (work.compare() if check else work.swap()))
            except (LogIncomplete, ArchiveDamaged) as error:
                raise StartError(f"{name} was left as it is: {error}.") from error
    return done


def operator() -> str:
    """Who sits at this machine, for the record."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:{os.getuid()}"


@asynccontextmanager
async def dead_letters(settings: Settings) -> AsyncIterator[tuple[ModuleType, Any]]:
    """What is done with dead letters, and the store they lie in."""
    from orion.platform.store.postgres import PostgresStore

    work = part("orion.platform.deadletters", "dlq")
    async with (
        database_of(settings) as door,
        PostgresStore.open(door, say=letter_fact, keep=letter_copy) as store,
    ):
        yield work, store


async def audit_verify(settings: Settings) -> tuple[str, list[str], list[str]]:
    """What was checked, what is wrong, what should be known."""
    from orion.platform.store.database import PostgresDatabase

    verify = part("orion.services.audit.verify", "audit verify")
    async with database_of(settings) as door, PostgresDatabase.open(door) as database:
        report = await verify.verify_audit(database, settings.data_dir, settings.secrets_dir)
    summary = (
        f"{report.rows} audit rows in {report.chains} chains, {report.anchors} anchors, "
        f"{report.log_rows} rows of the log"
    )
    return summary, report.violations, report.notes


async def verify(settings: Settings) -> tuple[list[str], list[str]]:
    """What was checked (with how much there was to check), and every violation."""
    work = part("orion.app.verify", "verify")
    async with database_of(settings) as door:
        return await work.verify(settings, door)
