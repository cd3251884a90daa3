"""Waiting for something to become true, with a limit that only a failure ever reaches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LIMIT = 20.0  # seconds; generous, for a busy machine
PAUSE = 0.01  # seconds between two looks


def wait_until(condition: Callable[[], T | None], what: str, limit: float = LIMIT) -> T:
    """Look at `condition` until what it gives is true, and give that; AssertionError naming `what` if it never is."""
    deadline = time.monotonic() + limit
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {limit:g} s in vain for {what}")
        time.sleep(PAUSE)
    return found
