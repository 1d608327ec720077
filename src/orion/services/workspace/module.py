"""How the hall builds the workspace service."""

from __future__ import annotations

from orion.platform.module import Module, Ports
from orion.services.workspace.config import Config
from orion.services.workspace.rpc import WorkspaceRpc
from orion.wire.stubs.workspace_pb2_grpc import add_WorkspaceServiceServicer_to_server


def build(ports: Ports, config: Config) -> Module:
    """Stateless but for its tables."""
    servicer = WorkspaceRpc(ports.database, ports.cache, ports.directory, ports.clock, config)
    return Module("workspace", rpc=[(add_WorkspaceServiceServicer_to_server, servicer)])
