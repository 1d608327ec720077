"""The sign-in pages, as HTML without script. Everything that comes from outside is escaped here."""
# ruff: noqa: E501

from __future__ import annotations

from dataclasses import dataclass
from html import escape

POLICY = (
    "default-src 'none'; style-src 'self'; font-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_ALERT = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M8 2 14.5 13.5h-13zM8 6.500v3M8 11.500v.1"/></svg>'
_CLOCK = '<svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6"/><path d="M8 4.500V8l2.500 2"/></svg>'
_BRAND = (
    '<div class="brand"><svg viewBox="0 0 18 18" aria-hidden="true" fill="currentColor"><circle cx="3.2" cy="13.6" r="2.2"/>'
    '<circle cx="9" cy="9" r="2.2"/><circle cx="14.8" cy="4.4" r="2.2"/></svg>Orion</div>'
)
_BELT = (
    '<svg class="belt" viewBox="0 0 860 600" preserveAspectRatio="xMidYMid meet" aria-hidden="true">'
    '<path class="rule" d="M0 420H860M0 300H860M0 180H860"/><path class="path" d="M190 420 430 300 670 180"/>'
    '<circle class="dot" cx="190" cy="420" r="5"/><circle class="dot" cx="670" cy="180" r="5"/>'
    '<circle class="mid" cx="430" cy="300" r="5"/><circle class="ring" cx="430" cy="300" r="13"/>'
    '<text x="0" y="412">Bid</text><text x="0" y="292">Mid</text><text x="0" y="172">Ask</text></svg>'
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the page says about the place it belongs to."""

    build: str
    environment: str
    session_hours: str
    is_simulated: bool
    demo_users: tuple[str, ...] = ()
    demo_password: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A line above the fields. `bold` first, then `text`."""

    kind: str  # bad | warn
    bold: str
    text: str = ""
    incident: str = ""


NOTICES = {
    "expired": Message("warn", "Your session has ended.", "Sign in to go on where you were."),
    "signed-out": Message("warn", "You are signed out."),
}


def wrong(tries_left: int, pause_minutes: int, incident: str) -> Message:
    """User or password is wrong."""
    text = ""
    if tries_left == 1:
        text = f"One try left, then a pause of {_minutes(pause_minutes)}."
    elif 1 < tries_left <= 2:
        text = f"Two tries left, then a pause of {_minutes(pause_minutes)}."
    return Message("bad", "User or password is not right.", text, incident)


def paused(seconds: float, incident: str) -> Message:
    """Too many tries."""
    minutes = max(1, -(-int(seconds) // 60))
    return Message("bad", "Too many failed tries.", f"Try again in {_minutes(minutes)}.", incident)


def _minutes(count: int) -> str:
    return "1 minute" if count == 1 else f"{count} minutes"


def login(
    around: Surroundings, *, ticket: str, user: str = "", message: Message | None = None
) -> str:
    """The page with the fields User and Password."""
    bad = ' aria-invalid="true"' if message and message.kind == "bad" else ""
    first, second = ("", " autofocus") if user else (" autofocus", "")
    form = (
        '<form method="post" action="/oidc/login" autocomplete="on"><div><h1>Sign in</h1>'
        '<span class="sub">Institutional RFQ, market data and audit workstation</span></div>'
        f"{_message(message)}"
        '<div class="field"><label for="user">User</label>'
        f'<input id="user" name="user" value="{escape(user)}" placeholder="trader@alpha" required maxlength="120"'
        f' autocomplete="username" autocapitalize="none" spellcheck="false"{bad}{first}></div>'
        '<div class="field"><label for="password">Password</label>'
        '<input id="password" name="password" type="password" required maxlength="256"'
        f' autocomplete="current-password"{bad}{second}></div>'
        f'<input type="hidden" name="ticket" value="{escape(ticket)}">'
        '<button type="submit">Sign in</button>'
        '<p class="fine">Every sign-in, sign-out and failed try is recorded. Sessions renew by themselves and end '
        f"{escape(around.session_hours)} after sign-in. Lost access: ask your administrator.</p></form>"
    )
    return _page("Sign in to Orion", form, around)


def refused(around: Surroundings, title: str, text: str) -> str:
    """A sign-in that cannot go on, with the way to start again."""
    card = (
        f'<div class="card"><div><h1>{escape(title)}</h1></div>'
        f"{_message(Message('bad', text))}"
        '<a class="button" href="/auth/login">Start again</a></div>'
    )
    return _page(title, card, around)


def signed_out(around: Surroundings) -> str:
    """After a sign-out that leads nowhere else."""
    card = (
        '<div class="card"><div><h1>Signed out</h1><span class="sub">Your session has ended.</span></div>'
        '<a class="button" href="/auth/login">Sign in</a></div>'
    )
    return _page("Signed out", card, around)


def _message(message: Message | None) -> str:
    if message is None:
        return ""
    icon = _ALERT if message.kind == "bad" else _CLOCK
    incident = (
        f'<br><span class="sub">{escape(message.incident)}</span>' if message.incident else ""
    )
    role = "alert" if message.kind == "bad" else "status"
    return (
        f'<p class="msg {message.kind}" role="{role}">{icon}<span><b>{escape(message.bold)}</b> '
        f"{escape(message.text)}{incident}</span></p>"
    )


def _page(title: str, body: str, around: Surroundings) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="/oidc/assets/icon.svg"><link rel="stylesheet" href="/oidc/assets/login.css"></head><body><main>'
        f'<section class="form">{_BRAND}{body}<div class="foot"><span>Build {escape(around.build)}</span>'
        f"<span>{escape(around.environment.upper())}</span></div></section>"
        f'<section class="side">{_BELT}{_notices(around)}</section></main></body></html>'
    )


def _notices(around: Surroundings) -> str:
    rows = []
    if around.is_simulated:
        rows.append(
            "<dt>This environment</dt><dd>Market prices and dealers are simulated "
            '<span class="tag">SIM</span>. No order leaves this system.</dd>'
        )
    if around.demo_users:
        rows.append(f"<dt>Demo users</dt><dd>{_by_tenant(around.demo_users)}</dd>")
        rows.append(f"<dt>Demo password</dt><dd><code>{escape(around.demo_password)}</code></dd>")
    if not rows:
        return ""
    return f'<div class="notices"><h2>Notices</h2><dl>{"".join(rows)}</dl></div>'


def _by_tenant(users: tuple[str, ...]) -> str:
    lines: dict[str, list[str]] = {}
    for user in users:
        lines.setdefault(user.rpartition("@")[2], []).append(f"<code>{escape(user)}</code>")
    return "<br>".join(", ".join(line) for line in lines.values())
