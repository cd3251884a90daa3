"""The root directory of whoever is at the other end of a local socket.

Not responsible for what follows from it (listener.py, chroot_session.py). Source: runtime specification, 11; unix(7),
proc_pid_root(5), pidfd_open(2).
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct

_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid
_SO_PEERPIDFD = 77  # from Linux 6.5 on; the socket module does not have it


def find(sock: socket.socket) -> str:
    """The root directory of the process that has connected `sock`, as the daemon calls it; "" where it is the daemon's.

    OSError where it cannot be told: the process has gone, it may not be looked at, or its root is not to be found
    in the daemon's file system (as in a container).
    """
    pid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
    pidfd = _open(sock, pid)
    try:
        link = f"/proc/{pid}/root"
        path, there = os.readlink(link), os.stat(link)
        # As long as it lives its pid is nobody else's, so what was read is about it.
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if poll.poll(0):
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    finally:
        os.close(pidfd)
    # The kernel also gives a path where that leads elsewhere here: in another mount namespace, or to what was deleted.
    if not os.path.samestat(there, os.stat(path)):
        raise OSError(errno.EXDEV, "it is not in the daemon's file system", path)
    return "" if path == "/" else path


def _open(sock: socket.socket, pid: int) -> int:
    """A pidfd of the process that has connected the socket."""
    try:
        return sock.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise
    return os.pidfd_open(pid)
