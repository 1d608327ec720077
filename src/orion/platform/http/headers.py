"""What every answer carries so that a browser keeps the page to itself."""

from __future__ import annotations

from urllib.parse import urlsplit


def content_security_policy(public_url: str) -> str:
    """Only our own scripts, styles, pictures and connections; nothing frames us, nothing posts
    elsewhere.
    """
    url = urlsplit(public_url)
    sockets = f"{'wss' if url.scheme == 'https' else 'ws'}://{url.netloc}"
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            # Style attributes are set by the grids and charts; style elements and sheets come from
            # us alone.
            "style-src 'self'",
            "style-src-attr 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self'",
            f"connect-src 'self' {sockets}",
            "manifest-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "object-src 'none'",
        )
    )


def security_headers(public_url: str) -> list[tuple[bytes, bytes]]:
    """The headers for all answers; a part of the site may set its own stricter policy first."""
    headers = {
        "content-security-policy": content_security_policy(public_url),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    }
    if public_url.startswith("https:"):
        headers["strict-transport-security"] = "max-age=31536000; includeSubDomains"
    return [(name.encode(), value.encode()) for name, value in headers.items()]
