"""What can be wrong with the settings, said before anything is started."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from urllib.parse import urlsplit

from orion.app.modules import MODULES, layout
from orion.platform.bus.kafka_settings import kafka_settings
from orion.platform.config import ConfigError, PlatformConfig, Settings
from orion.platform.issuer import issuer_of

OURS = ("ORION_CONFIG", "ORION_READY_FD")  # not fields of any section


def check(settings: Settings) -> list[str]:
    """Reads every section that something was set for. Returns what is set and means nothing. Raises
    ConfigError.
    """
    platform = settings.platform
    layout(platform.processes, platform.profile)
    if not settings.is_embedded:
        _cluster(platform)
    url = urlsplit(settings.public_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(
            "ORION_PUBLIC_URL", f"{settings.public_url} is no web address", "Use http://HOST:PORT"
        )
    issuer_of(settings, ())
    _market(platform)
    for table in settings.tables:
        if table not in MODULES:
            known = ", ".join(sorted(MODULES))
            raise ConfigError(f"[{table}]", "is not a section", f"Known: {known}")
    return _sections(settings)


def _cluster(platform: PlatformConfig) -> None:
    """What the cluster profile cannot be without; the embedded one has it inside."""
    for key, what in (
        ("postgres_dsn", "a PostgreSQL"),
        ("kafka_bootstrap", "Kafka's brokers"),
        ("redis_url", "a Redis"),
        ("blob_url", "the place of archives"),
        ("oidc_issuer", "an OIDC provider"),
    ):
        if not getattr(platform, key):
            raise ConfigError(
                f"ORION_{key.upper()}",
                "is not set and the cluster profile needs it",
                f"Name {what}, or use the embedded profile",
            )
    kafka_settings(platform)


def _market(platform: PlatformConfig) -> None:
    plain = PlatformConfig()
    if (platform.scenario, platform.speed, platform.replay) == (plain.scenario, plain.speed, ""):
        return
    from orion.services.marketdata_ingest.config import recording_of, scenario_of, speed_of
    from orion.services.marketdata_ingest.feed import RawQuote
    from orion.services.marketdata_ingest.formats import UnknownFormat, recognise, rows

    scenario_of(platform.scenario)
    speed_of(platform.speed)
    recording = recording_of(platform.replay)
    if recording is None:
        return
    try:
        quotes = (row for row in rows(recording, recognise(recording)) if isinstance(row, RawQuote))
        if next(quotes, None) is None:
            raise UnknownFormat(f"{recording.name} holds no quote")
    except UnknownFormat as error:
        raise ConfigError("ORION_REPLAY", str(error), "Name a recording of quotes") from None
    except OSError as error:
        raise ConfigError(
            "ORION_REPLAY", f"{recording} cannot be read ({error.strerror})", "Mend its mode"
        ) from None


def _sections(settings: Settings) -> list[str]:
    known = {_variable("", f.name) for f in fields(PlatformConfig)} | set(OURS)
    strange: list[str] = []
    given = set(settings.variables) - known
    for name, entry in MODULES.items():
        mine = {v for v in given if v.startswith(_variable(name, ""))}
        if not mine and name not in settings.tables:
            continue
        settings.section(name, entry.config_type)
        names = {_variable(name, f.name) for f in fields(entry.config_type)}
        strange += [_unknown(v, names) for v in mine - names]
        given -= mine
    strange += [_unknown(v, known) for v in given]
    return sorted(strange)


def _variable(section: str, name: str) -> str:
    return "ORION_" + (f"{section}_" if section else "").upper() + name.upper()


def _unknown(variable: str, known: Iterable[str]) -> str:
    near = get_close_matches(variable, list(known), 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{variable} is not a setting and changes nothing{hint}"
