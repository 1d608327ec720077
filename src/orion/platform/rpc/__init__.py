"""gRPC machinery: channels by service name, one gate in front of every servicer, errors with
codes. Within a process the same calls go without a socket.
"""

from orion.platform.rpc import polling  # noqa: F401 - before any channel is made
from orion.platform.rpc.client import Directory, rpc_errors
from orion.platform.rpc.local import Home
from orion.platform.rpc.server import RpcServer, current_caller

__all__ = ["Directory", "Home", "RpcServer", "current_caller", "rpc_errors"]
