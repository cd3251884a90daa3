"""What something costs: calls are counted, of Python's functions and of C's, and no time is measured."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Calls:
    """How many calls there were in a block with counted_calls()."""

    count = 0

    def note(self, frame: FrameType, event: str, argument: object) -> None:
        """What happens, as sys.setprofile() tells it."""
        self.count += event.endswith("call")


@contextmanager
def counted_calls() -> Iterator[Calls]:
    """Counts the calls in the block."""
    calls = Calls()
    sys.setprofile(calls.note)
    try:
        yield calls
    finally:
        sys.setprofile(None)
