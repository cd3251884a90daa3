"""What the real kernel gives for the output of jobs: terminals, logs, and enough descriptors for many of them."""

from __future__ import annotations

import fcntl
import os
import resource
import termios
from typing import TYPE_CHECKING, NoReturn

import pytest

from upstartd.descriptors import FIRST_INTERNAL
from upstartd.proc.kernel import LinuxKernel

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = {b"PATH": b"/usr/bin:/bin"}


@pytest.fixture
def kernel() -> Iterator[LinuxKernel]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield LinuxKernel()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_terminal_passes_on_every_byte_as_it_is(kernel: LinuxKernel) -> None:
    ours, theirs = kernel.open_terminal()
    data = bytes(range(256)) + b"line\nline\r\n\ttab"
    os.write(theirs, data)
    assert os.read(ours, 1000) == data
    os.close(theirs)
    os.close(ours)


def test_a_terminal_s_reader_does_not_wait_and_notices_when_nobody_has_it_open(kernel: LinuxKernel) -> None:
    ours, theirs = kernel.open_terminal()
    with pytest.raises(BlockingIOError):
        os.read(ours, 1)
    os.write(theirs, b"last")
    os.close(theirs)
    assert os.read(ours, 1000) == b"last"
    with pytest.raises(OSError, match="Input/output error"):
        os.read(ours, 1)
    os.close(ours)


def test_terminals_stay_out_of_the_numbers_of_jobs_and_out_of_other_programs(kernel: LinuxKernel) -> None:
    for fd in kernel.open_terminal():
        assert fd >= FIRST_INTERNAL
        assert not os.get_inheritable(fd)
        os.close(fd)


@pytest.mark.parametrize("function", ["tcgetattr", "tcsetattr"])
def test_a_terminal_that_cannot_be_set_up_leaves_nothing_open(
    kernel: LinuxKernel, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise termios.error(5, "Input/output error")

    monkeypatch.setattr(termios, function, refuse)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="Input/output error"):
        kernel.open_terminal()
    assert os.listdir("/proc/self/fd") == before


def test_a_terminal_that_finds_no_number_leaves_nothing_open(
    kernel: LinuxKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter([None, OSError(24, "Too many open files")])
    real = fcntl.fcntl

    def second_fails(fd: int, what: int, value: int) -> int:
        if (refusal := next(numbers)) is not None:
            raise refusal
        return real(fd, what, value)

    monkeypatch.setattr("upstartd.descriptors.FIRST_INTERNAL", 500)  # so that every number is too low
    monkeypatch.setattr(fcntl, "fcntl", second_fails)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="Too many open files"):
        kernel.open_terminal()
    assert os.listdir("/proc/self/fd") == before


# -- the limit of open files ------------------------------------------------------------------------------


def lower_limit() -> int:
    """Lower the limit of this process to 200; gives what it may be raised to."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    return hard


def limit_in_child(kernel: LinuxKernel, *, quick: bool) -> bytes:
    """The limit of open files that a process sees which the kernel has started in this way."""
    reading, writing = os.pipe()
    if quick:
        pid = kernel.start_quick(b"/bin/sh", (b"sh", b"-c", b"ulimit -n; ulimit -Hn"), PATH, [(writing, 1)], None, None)
    else:
        pid = kernel.fork()
        if pid == 0:
            os.write(writing, b"%d\n%d\n" % resource.getrlimit(resource.RLIMIT_NOFILE))
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        text = file.read()
    assert os.waitpid(pid, 0)[1] == 0
    return text


@pytest.mark.parametrize("quick", [True, False])
def test_a_raised_limit_of_open_files_is_the_daemon_s_alone(kernel: LinuxKernel, quick: bool) -> None:
    hard = lower_limit()
    kernel.raise_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    assert limit_in_child(kernel, quick=quick) == b"200\n%d\n" % hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_a_raised_limit_of_open_files_can_be_given_back(kernel: LinuxKernel) -> None:
    kernel.restore_file_limit()  # which was not raised yet
    hard = lower_limit()
    kernel.raise_file_limit()
    kernel.restore_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (200, hard)
