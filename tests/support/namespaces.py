"""A network namespace for a while: the system instance's socket has one fixed name, in the abstract namespace of it."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# From linux/sched.h, linux/sockios.h and linux/if.h; the os module has unshare() and setns() from Python 3.12 on.
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1


def _call(function: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


@contextmanager
def network_namespace() -> Iterator[None]:
    """Put this process, and what it starts, into a network of its own that has the loopback device only.

    The test is skipped where that is not allowed: it takes root, and a container may refuse it all the same.
    """
    outside = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            _call("unshare", CLONE_NEWNET)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            pytest.skip("a network namespace needs root")
        try:
            _bring_loopback_up()
            yield
        finally:
            _call("setns", outside, CLONE_NEWNET)
    finally:
        os.close(outside)


def _bring_loopback_up() -> None:
    # struct ifreq: the device's name, then its flags (netdevice(7)).
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
        flags = struct.unpack("16sH14x", request)[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
