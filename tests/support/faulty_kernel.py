"""The real kernel, but for what a test has it refuse: disks that are full or broken, and too few terminals."""

from __future__ import annotations

import os

from upstartd.proc.kernel import LinuxKernel


class FaultyKernel(LinuxKernel):
    """`open_error` and `write_error` are the errno with which logs are refused, `terminal_error` that for terminals.

    Writes are refused after `room` bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.open_error: int | None = None
        self.write_error: int | None = None
        self.terminal_error: int | None = None
        self.room = 0
        self.attempts = 0  # to open a log

    def open_log(self, path: bytes, /) -> int:
        self.attempts += 1
        _refuse(self.open_error)
        return super().open_log(path)

    def open_terminal(self) -> tuple[int, int]:
        _refuse(self.terminal_error)
        return super().open_terminal()

    def write(self, fd: int, data: bytes | bytearray, /) -> int:  # type: ignore[override]  # there it is os.write itself
        if self.write_error is not None:
            data = data[: self.room]
            self.room -= len(data)
            if not data:
                _refuse(self.write_error)
        return os.write(fd, data)


def _refuse(number: int | None) -> None:
    if number is not None:
        raise OSError(number, os.strerror(number))
