"""Long work in slices, so that whoever else uses the event loop has a turn in between.

Not responsible for what the work is, nor for what others may do to its objects meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

# How long the others may have to wait, in seconds. It ends with the step that goes beyond it.
SLICE = 0.005


def in_slices(steps: Iterator[object], done: Callable[[], object], loop: asyncio.AbstractEventLoop) -> None:
    """Take all `steps`, the first of them at once, and then call `done`, even if a step raises."""
    until = loop.time() + SLICE
    try:
        for _ in steps:
            if loop.time() >= until:
                # Not call_soon(), which comes before what has arrived in the meantime.
                loop.call_later(0, in_slices, steps, done, loop)
                return
    except BaseException:
        done()
        raise
    done()
