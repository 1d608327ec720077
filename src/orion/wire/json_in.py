"""JSON from outside, read so that no two readers could understand it differently, and bounded in
every direction.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

MAX_DEPTH = 24
MAX_NODES = 20_000
MAX_INTEGER_DIGITS = 18  # stays exact in 64 bits everywhere


class NotJson(ValueError):
    """The bytes are not JSON that we take; the text says why, without repeating what was sent."""


def loads(body: bytes) -> Any:
    """The value. Raises NotJson for: not UTF-8, duplicate keys, NaN and infinities, huge integers,
    NUL, lone surrogates,
    too deep or too many parts.
    """
    try:
        text = body.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_pairs,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except UnicodeDecodeError:
        raise NotJson("the body is not UTF-8") from None
    except RecursionError:
        raise NotJson("the body is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} at character {error.pos}") from None
    _check(value)
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise NotJson("a field is given twice in one object")
    return made


def _constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not a JSON number")


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise NotJson(f"an integer has more than {MAX_INTEGER_DIGITS} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotJson("a number is too large")
    return value


def _check(value: Any) -> None:
    # Iterative: the depth of what was sent must not become the depth of our own stack.
    waiting: list[tuple[Any, int]] = [(value, 1)]
    seen = 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH:
            raise NotJson(f"the body is nested deeper than {MAX_DEPTH}")
        if seen > MAX_NODES:
            raise NotJson(f"the body has more than {MAX_NODES} parts")
        if isinstance(node, str):
            _text(node)
        elif isinstance(node, dict):
            for key, part in node.items():
                _text(key)
                waiting.append((part, depth + 1))
        elif isinstance(node, list):
            waiting.extend((part, depth + 1) for part in node)


def _text(text: str) -> None:
    if "\x00" in text:
        raise NotJson("a text holds NUL")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise NotJson("a text holds half of a surrogate pair")
