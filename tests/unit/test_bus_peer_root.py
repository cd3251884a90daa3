"""Whose root directory is where: real processes at the other end of a socket. It takes root to have another one."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from upstartd.bus import peer_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can have another root directory")

# Carries out its second argument, connects to its first one, says so, and waits until its input ends.
_PEER = """
import ctypes, os, socket, sys
libc = ctypes.CDLL(None)
exec(sys.argv[2])
peer = socket.socket(socket.AF_UNIX)
peer.connect("\\0" + sys.argv[1])
print("connected", flush=True)
sys.stdin.read()
"""


@contextmanager
def peer(before: str = "") -> Iterator[socket.socket]:
    """The daemon's side of a connection with a process that does `before` first."""
    name = f"upstartd-tests/{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen()
        process = subprocess.Popen(
            [sys.executable, "-c", _PEER, name, before], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"connected\n"
            with listener.accept()[0] as sock:
                yield sock
        finally:
            process.communicate()


def root_of(before: str) -> str:
    with peer(before) as sock:
        return peer_root.find(sock)


def test_a_process_with_the_daemon_s_root_has_none_of_its_own() -> None:
    assert root_of("") == ""


@needs_root
def test_a_process_in_a_chroot_has_that_root(tmp_path: Path) -> None:
    assert root_of(f"os.chroot({str(tmp_path)!r})") == str(tmp_path)


@needs_root
def test_the_root_is_called_as_it_is_without_links(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "link").symlink_to("box")
    assert root_of(f"os.chroot({str(tmp_path / 'link')!r})") == str(tmp_path / "box")


def refusal(find: Callable[[], str]) -> int | None:
    with pytest.raises(OSError, match=r"\S") as caught:
        find()
    return caught.value.errno


@needs_root
@pytest.mark.parametrize("is_made_again", [False, True])
def test_a_root_that_was_deleted_cannot_be_told(tmp_path: Path, *, is_made_again: bool) -> None:
    box = tmp_path / "box"
    box.mkdir()
    with peer(f"os.chroot({str(box)!r})") as sock:
        box.rmdir()
        if is_made_again:
            box.mkdir()
        assert refusal(lambda: peer_root.find(sock)) == errno.ENOENT  # "(deleted)" is a part of its name now


@needs_root
def test_a_root_of_another_mount_namespace_cannot_be_told(tmp_path: Path) -> None:
    # The directory of that name is another one there.
    before = f"""
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, (1 << 14) | (1 << 18), None) == 0  # MS_REC | MS_PRIVATE
assert libc.mount(b"none", {bytes(tmp_path)!r}, b"tmpfs", 0, None) == 0
os.chroot({str(tmp_path)!r})
"""
    assert refusal(lambda: root_of(before)) == errno.EXDEV


@needs_root
def test_a_mount_namespace_alone_makes_no_other_root() -> None:
    assert root_of("assert libc.unshare(0x20000) == 0") == ""


def test_the_root_of_a_process_that_has_gone_cannot_be_told() -> None:
    with peer() as sock:
        other = sock.dup()
    with other:
        assert refusal(lambda: peer_root.find(other)) in (errno.ESRCH, errno.ENOENT)


def test_an_older_kernel_gives_the_process_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_root, "_SO_PEERPIDFD", 9999)
    with peer() as sock:
        other = sock.dup()
        assert peer_root.find(sock) == ""
    with other:
        assert refusal(lambda: peer_root.find(other)) == errno.ESRCH
