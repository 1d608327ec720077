"""How the hall builds the relay. It is asked nothing, so it answers no calls."""

from __future__ import annotations

from orion.platform.bus.kafka_settings import kafka_settings
from orion.platform.module import Module, Ports
from orion.platform.relay import Relay, RelayLimits
from orion.services.relay.config import Config


def build(ports: Ports, config: Config) -> Module:
    """One relay; its copies share the partitions."""
    relay = Relay(
        log=ports.log,
        marks=ports.marks,
        leases=ports.store,
        settings=kafka_settings(ports.settings.platform),
        clock=ports.clock,
        address=ports.address,
        limits=RelayLimits(batch=config.batch, threads=config.threads),
    )
    return Module("relay", tasks=[relay.run], ready=relay.ready, leave=[relay.leave])
