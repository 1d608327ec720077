"""gRPC machinery: channels by service name, one gate in front of every servicer, errors with
codes.
"""

from orion.platform.rpc import polling  # noqa: F401 - before any channel is made
from orion.platform.rpc.client import Directory, rpc_errors
from orion.platform.rpc.server import RpcServer, current_caller

__all__ = ["Directory", "RpcServer", "current_caller", "rpc_errors"]
