"""Builds the five dealers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from orion.platform.config import ConfigError
from orion.platform.lead import Lead
from orion.platform.module import Module, Ports
from orion.services.lp_bots.bot import Bot
from orion.services.lp_bots.config import Config
from orion.services.lp_bots.line import Line
from orion.services.lp_bots.market import Market
from orion.services.lp_bots.profile import Profile, read_profiles


def build(ports: Ports, config: Config) -> Module:
    """The dealers as a module: one line and one bot each, one view of the market for all."""
    market = Market(ports.directory)
    profiles = read_profiles(config.dealers_file)
    if not profiles:
        raise ConfigError(
            "ORION_LP_BOTS_DEALERS_FILE", "it names no dealer", "Describe one or more"
        )
    lines = [_dealer(profile, market, ports, config) for profile in profiles]
    lead = Lead(ports.store, ports.clock, "lp_bots", ports.address)  # a dealer has one voice
    return Module(
        name="lp_bots",
        tasks=[market.run, lead.run, partial(lead.only, [line.run for line in lines])],
        ready=lambda: lead.ready() if market.instruments else "waiting for instruments",
        leave=[lead.leave],
    )


def _dealer(profile: Profile, market: Market, ports: Ports, config: Config) -> Line:
    def later(seconds: float, what: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, what)

    line = Line(
        profile.lp_id, lambda message: bot.hear(message), directory=ports.directory,
        gap_s=config.gap_ms / 1000, address=config.address,
    )  # fmt: skip
    bot = Bot(
        profile, seed=ports.settings.platform.seed, config=config, instruments=market.instruments,
        mids=market.mids, say=line.put, later=later, now=ports.clock.now,
    )  # fmt: skip
    return line
