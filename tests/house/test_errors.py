"""Codes: those that are raised are in the catalogue, those in the catalogue are raised or kept for
a reason.
"""

from __future__ import annotations

import re

import grpc

from orion.platform.errors import catalogue
from tests.house.tree import files, name, python

CODE = re.compile(r"\b((?:API|AUTH|RISK|RFQ|LP|MD|WS|SYS)-\d{3})\b")
QUOTED = re.compile(r"[\"']((?:API|AUTH|RISK|RFQ|LP|MD|WS|SYS)-\d{3})[\"']")
RANGES = {
    "API": (100, 199),
    "AUTH": (100, 199),
    "RISK": (100, 199),
    "RFQ": (200, 299),
    "LP": (300, 399),
    "MD": (400, 499),
    "WS": (500, 599),
    "SYS": (900, 999),
}
# Not raised yet, and why the number is taken.
RESERVED = {
    "AUTH-107": "the sign-in page says it in words, beside the fields",
}


def used() -> dict[str, str]:
    """Code → the first file that has it as a value."""
    found: dict[str, str] = {}
    for path in python("src"):
        for code in QUOTED.findall(path.read_text()):
            found.setdefault(code, name(path))
    return found


def test_every_code_that_is_raised_is_in_the_catalogue():
    unknown = {c: where for c, where in used().items() if c not in catalogue()}
    assert unknown == {}


def test_every_code_that_is_spoken_of_is_in_the_catalogue():
    unknown = {
        f"{name(p)}: {code}"
        for p in files()
        if p.suffix in (".py", ".ts", ".tsx", ".md", ".toml", ".proto")
        for code in CODE.findall(p.read_text(errors="replace"))
        if code not in catalogue()
    }
    assert unknown == set()


def test_every_code_of_the_catalogue_is_raised_or_reserved():
    idle = sorted(set(catalogue()) - set(used()))
    assert idle == sorted(RESERVED)


def test_every_code_stands_in_its_range_with_a_status_that_exists():
    for code, kind in catalogue().items():
        area, number = code.split("-")
        low, high = RANGES[area]
        assert low <= int(number) <= high
        assert 400 <= kind.status <= 599 and kind.title and not kind.title.endswith(".")
        assert hasattr(grpc.StatusCode, kind.grpc)
