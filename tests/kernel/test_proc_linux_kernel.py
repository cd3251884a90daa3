"""The real kernel's methods, as far as they start no process: descriptors, programs, and what /proc says."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from upstartd.descriptors import FIRST_INTERNAL
from upstartd.proc.kernel import LinuxKernel

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def kernel() -> LinuxKernel:
    return LinuxKernel()


def is_closed_on_exec(fd: int) -> bool:
    return not os.get_inheritable(fd)


def opened() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def read_all(fd: int) -> bytes:
    with open(fd, "rb") as file:
        return file.read()


def refuse(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, when: Callable[..., bool], number: int) -> None:
    """Have a function raise the error `number` when its arguments are so."""
    real = getattr(owner, name)

    def refusing(*arguments: Any) -> Any:
        if when(*arguments):
            raise OSError(number, os.strerror(number))
        return real(*arguments)

    monkeypatch.setattr(owner, name, refusing)


# -- descriptors ------------------------------------------------------------------------------------------


def test_descriptors_of_the_daemon_stay_out_of_the_numbers_of_jobs(kernel: LinuxKernel) -> None:
    for fd in (*kernel.pipe(), kernel.open_null(), kernel.make_script_file(b"x")):
        assert fd >= FIRST_INTERNAL
        assert is_closed_on_exec(fd)
        os.close(fd)


def test_a_pipe_that_cannot_be_moved_leaves_nothing_open(kernel: LinuxKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upstartd.descriptors.FIRST_INTERNAL", 5000)  # so that every number is too low
    refuse(monkeypatch, fcntl, "fcntl", lambda _fd, what, *_: what == fcntl.F_DUPFD_CLOEXEC, errno.EMFILE)
    before = opened()
    with pytest.raises(OSError, match="Too many open files"):
        kernel.pipe()
    assert opened() == before


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1 << 20])
def test_a_script_file_holds_the_whole_script(kernel: LinuxKernel, size: int) -> None:
    text = os.urandom(size)
    fd = kernel.make_script_file(text)
    assert stat.S_ISFIFO(os.fstat(fd).st_mode)
    assert read_all(fd) == text


def test_a_script_that_no_pipe_may_hold_comes_from_memory(kernel: LinuxKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, fcntl, "fcntl", lambda _fd, what, *_: what == fcntl.F_SETPIPE_SZ, errno.EPERM)
    before = opened()
    text = os.urandom(1 << 20)
    fd = kernel.make_script_file(text)
    assert fd >= FIRST_INTERNAL
    assert is_closed_on_exec(fd)
    # A shell opens it anew, by its name.
    assert Path(f"/proc/self/fd/{fd}").read_bytes() == text
    assert read_all(fd) == text
    assert opened() == before


def test_a_script_that_cannot_be_kept_leaves_nothing_open(kernel: LinuxKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, fcntl, "fcntl", lambda _fd, what, *_: what == fcntl.F_SETPIPE_SZ, errno.EPERM)
    refuse(monkeypatch, os, "memfd_create", lambda *_: True, errno.ENOSYS)
    before = opened()
    with pytest.raises(OSError, match="Function not implemented"):
        kernel.make_script_file(b"x" * (1 << 20))
    assert opened() == before


@pytest.mark.parametrize("known", [True, False])
def test_what_others_left_open_is_closed_on_exec(
    kernel: LinuxKernel, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    if not known:  # a kernel without close_range()
        refuse(monkeypatch, kernel, "_call", lambda *_: True, errno.ENOSYS)
    fd = os.open(os.devnull, os.O_RDONLY)
    try:
        os.set_inheritable(fd, True)
        standard = [os.get_inheritable(number) for number in range(3)]
        kernel.close_all_on_exec()
        assert is_closed_on_exec(fd)
        assert [os.get_inheritable(number) for number in range(3)] == standard
    finally:
        os.close(fd)


# -- programs ---------------------------------------------------------------------------------------------


def test_a_binary_on_the_root_file_system_can_be_executed_without_waiting(kernel: LinuxKernel) -> None:
    if os.stat("/bin/sh").st_dev != os.stat("/").st_dev:
        pytest.skip("the system's programs are on a file system of their own")
    assert kernel.find_quick([b"/nonexistent/sh", b"/etc/passwd/sh", b"/bin/sh", b"/bin/cat"]) == b"/bin/sh"


@pytest.mark.parametrize(
    "program",
    [b"/nonexistent", b"bin/sh", b"/proc/self/exe", b"/etc", b"/etc/passwd", b"/dev/null", b"/" + b"x" * 300],
)
def test_whatever_else_a_program_may_be_it_is_left_to_a_child(kernel: LinuxKernel, program: bytes) -> None:
    before = opened()
    assert kernel.find_quick([program, b"/nonexistent"]) is None
    assert opened() == before


def test_a_script_is_left_to_a_child_as_its_interpreter_may_be_anywhere(kernel: LinuxKernel, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert kernel.find_quick([bytes(script), b"/bin/sh"]) is None


def test_a_fifo_in_the_place_of_a_program_is_not_waited_for(kernel: LinuxKernel, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert kernel.find_quick([bytes(tmp_path / "fifo")]) is None


def test_without_openat2_every_program_is_left_to_a_child(
    kernel: LinuxKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, kernel, "_call", lambda *_: True, errno.ENOSYS)
    assert kernel.find_quick([b"/bin/sh"]) is None


def test_a_program_that_cannot_be_executed_is_no_child(kernel: LinuxKernel) -> None:
    here, mask = os.getcwd(), os.umask(0o027)
    try:
        with pytest.raises(PermissionError):
            kernel.start_quick(b"/etc/passwd", (b"x",), {}, [], 0o077, "/")
        with pytest.raises(FileNotFoundError):
            kernel.start_quick(b"/bin/true", (b"x",), {}, [], 0o077, "/nonexistent")
        assert (os.getcwd(), os.umask(0o027)) == (here, 0o027)
    finally:
        os.umask(mask)


# -- what /proc says --------------------------------------------------------------------------------------


def test_a_process_is_described(kernel: LinuxKernel) -> None:
    found = kernel.stat(os.getpid())
    assert found is not None
    assert found[:4] == ("R", os.getppid(), os.getpgrp(), os.getsid(0))
    assert found.start_time > 0
    assert not found.has_ended
    assert os.getpid() in kernel.pids()


def test_there_is_nothing_to_say_of_a_process_that_is_not_there(kernel: LinuxKernel) -> None:
    assert kernel.stat(0x7FFFFFFF) is None


def test_the_databases_know_root(kernel: LinuxKernel) -> None:
    assert kernel.user(b"root") == kernel.user(0) == (b"root", 0, 0)
    assert kernel.group(b"root") == 0
    assert kernel.user(b"no-such-user-here") is None
    assert kernel.user(0x7FFFFFF0) is None
    assert kernel.group(b"no-such-group-here") is None


def test_a_name_with_a_zero_byte_is_not_looked_up_by_what_comes_before_it(kernel: LinuxKernel) -> None:
    with pytest.raises(ValueError, match="zero byte"):
        kernel.user(b"root\0")
    with pytest.raises(ValueError, match="zero byte"):
        kernel.group(b"root\0")


def test_an_error_of_the_c_library_is_the_system_s(kernel: LinuxKernel) -> None:
    with pytest.raises(ProcessLookupError):
        kernel.detach(0x7FFFFFFF, 0)
