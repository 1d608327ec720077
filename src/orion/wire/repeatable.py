"""Which methods may be asked twice: those whose contract says that a second time changes nothing.
A read has no effect; a command with an idempotency key has it once.
"""

from __future__ import annotations

import importlib
import pkgutil

from google.protobuf.descriptor_pb2 import MethodOptions

from orion.wire import stubs


def repeatable_methods() -> frozenset[str]:
    """The full names of all such methods, as gRPC calls them."""
    found: set[str] = set()
    for module in pkgutil.iter_modules(stubs.__path__):
        if not module.name.endswith("_pb2"):
            continue
        file = importlib.import_module(f"{stubs.__name__}.{module.name}").DESCRIPTOR
        for service in file.services_by_name.values():
            for method in service.methods:
                level = method.GetOptions().idempotency_level
                if level != MethodOptions.IDEMPOTENCY_UNKNOWN:
                    found.add(f"/{service.full_name}/{method.name}")
    return frozenset(found)
