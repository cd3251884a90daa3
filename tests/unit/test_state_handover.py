"""How a daemon gets the state of the one before it: all of it, or a word about why not."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from upstartd.state.handover import StateError, receive

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("patience", [-1, 0, 3, 2**31 // 1000])
def test_a_file_is_read_to_its_end_and_closed(tmp_path: Path, patience: int) -> None:
    file = tmp_path / "state"
    file.write_bytes(b"x" * 3_000_000)
    descriptor = os.open(file, os.O_RDONLY)
    received = bytearray()
    receive(descriptor, patience, received)
    assert received == file.read_bytes()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_what_comes_late_is_waited_for() -> None:
    reading, writing = os.pipe()
    received = bytearray(b"")

    def write() -> None:
        for _ in range(100):
            os.write(writing, b"abc")
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    receive(reading, -1, received)
    writer.join()
    assert received == b"abc" * 100


def test_what_came_before_the_wait_was_over_is_there() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"abc")
    received = bytearray()
    with pytest.raises(StateError, match=r"its end has not come in 0\.01 seconds"):
        receive(reading, 0.01, received)
    os.close(writing)
    assert received == b"abc"


def test_what_cannot_be_read_is_the_system_s_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        receive(os.open(tmp_path, os.O_RDONLY), 3, bytearray())
