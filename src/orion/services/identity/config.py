"""Settings of identity."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.config import option

DEMO_PASSWORD = "orion-demo"  # noqa: S105 (printed at start; refused outside of the embedded profile)


@dataclass(frozen=True)
class Config:
    """Environment: ORION_IDENTITY_<FIELD>."""

    access_token_s: int = option(300, "Life of an access token", min=30, max=3600)
    cli_token_s: int = option(3600, "Life of a token from `orion token`", min=30, max=3600)
    code_s: int = option(60, "Life of an authorization code", min=5, max=600)
    login_page_s: int = option(900, "A sign-in page can be sent for so long", min=60, max=3600)
    failures_before_pause: int = option(
        5, "Wrong passwords for one user from one address before a pause", min=1, max=100
    )
    user_failures_before_pause: int = option(
        30, "Wrong passwords for one user from anywhere before a pause", min=1, max=10_000
    )
    address_failures_before_pause: int = option(
        50, "Wrong passwords from one address before a pause", min=1, max=10_000
    )
    pause_s: int = option(300, "How long the pause is", min=1, max=86_400)
    failures_window_s: int = option(900, "Failures are counted for so long", min=1, max=86_400)
    password_checks: int = option(2, "Passwords checked at the same time", min=1, max=32)
    password_waiting: int = option(
        64, "Sign-ins that may wait for a password check before more are turned away", min=1
    )
    argon2_memory_kib: int = option(19_456, "Memory of one password check", min=8, max=1_048_576)
    argon2_passes: int = option(2, "Passes of one password check", min=1, max=100)
    demo_password: str = option(DEMO_PASSWORD, "Password of the demo users (embedded profile)")
    revocation_poll_ms: int = option(
        250, "How often revocations written by another copy are looked for", min=50, max=1000
    )
