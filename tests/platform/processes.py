"""Waiting for processes that a test started, or ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psutil


async def until(condition: Callable[[], object]) -> None:
    """Returns when it holds; a start on a busy machine takes its time."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


def is_gone(pid: int) -> bool:
    """It has ended, whether or not somebody has waited for it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
