"""Settings of the streaming edge."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.config import option


@dataclass(frozen=True)
class Config:
    """Environment: ORION_PUSH_EDGE_<FIELD>."""

    flush_hz: float = option(
        10.0, "How often a screen's prices may change in a second", min=0.2, max=50.0
    )
    slowest_hz: float = option(
        1.0, "The lowest rate the edge falls to under load", min=0.1, max=10.0
    )
    heartbeat_s: float = option(5.0, "How often a heartbeat is sent", min=0.5, max=60.0)
    max_sockets: int = option(20_000, "Most sockets of this process", min=1, max=200_000)
    sockets_per_user: int = option(
        10, "Most sockets of one user; the oldest is closed with 4409", min=1, max=1000
    )
    instruments_per_subscription: int = option(
        200, "Most instruments in one message", min=1, max=2000
    )
    messages_per_second: float = option(
        20.0, "Messages a client may send, lasting", min=1, max=1000
    )
    message_burst: int = option(60, "Messages a client may send at once", min=1, max=10_000)
    slow_seconds: float = option(
        10.0, "A socket that does not keep up for so long is closed with 4408", min=0.1, max=300
    )
    soft_kb: int = option(128, "Unread data of a socket above which prices wait", min=4, max=16_384)
    hard_kb: int = option(
        2048, "Unread data of a socket above which it is closed with 4408", min=16, max=65_536
    )
    kernel_kb: int = option(256, "Unread data of a socket the kernel may hold", min=4, max=16_384)
    max_waiting: int = option(
        1000, "Sockets that may wait for their sign-in to be checked", min=1, max=100_000
    )
    rfq_keep_s: float = option(60.0, "How long an ended RFQ stays in snapshots", min=0, max=3600)
    listen: str = option(
        "",
        "host:port of a port of its own, besides sockets handed over (behind a load balancer)",
    )
