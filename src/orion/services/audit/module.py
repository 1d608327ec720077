"""How the hall builds the audit service."""

from __future__ import annotations

from functools import partial

from orion.platform.config import ConfigError
from orion.platform.lead import Lead
from orion.platform.module import Module, Ports
from orion.services.audit import outside
from orion.services.audit.config import Config
from orion.services.audit.recorder import Recorder
from orion.services.audit.rpc import AuditRpc
from orion.wire.stubs.audit_pb2_grpc import add_AuditServiceServicer_to_server


def build(ports: Ports, config: Config) -> Module:
    """One recorder, one anchorer, one servicer."""
    settings = ports.settings
    anchors = outside.AnchorFile(settings.data_dir / "audit-anchors")
    # Only a platform that never anchored may start without its key: a new one would make old
    # signatures look forged.
    is_new = settings.is_embedded and not anchors.lines()
    key = outside.read_key(settings.secrets_dir, may_create=is_new)
    if key is None:
        remedy = "Restore it from a backup; without it the audit log cannot be verified"
        raise ConfigError(str(settings.secrets_dir / outside.KEY), "is missing", remedy)
    lead = Lead(ports.store, ports.clock, "audit", ports.address)

    def ready() -> str | None:
        if lead.is_mine and not recorder.is_ready:
            return "audit: catching up"
        return lead.ready()

    recorder = Recorder(
        bus=ports.bus,
        store=ports.store,
        database=ports.database,
        clock=ports.clock,
        config=config,
        key=key,
        anchors=anchors,
        may_anchor=lambda: lead.is_mine,
    )
    return Module(
        "audit",
        rpc=[(add_AuditServiceServicer_to_server, AuditRpc(ports.database, config))],
        # One writer of the chains, and one of the anchors' file.
        tasks=[lead.run, partial(lead.only, [recorder.run, recorder.anchor_for_ever])],
        ready=ready,
        leave=[lead.leave],
    )
