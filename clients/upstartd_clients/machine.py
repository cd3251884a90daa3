"""The machine, as far as the System V tools touch it: its files, its clock, and the calls that end it.

The one seam between those tools and the kernel: tests have a machine of their own. Whatever could end a machine or tell
people that it ends asks first whether process 1 is upstartd, since beside another init that is not ours to do. Not
responsible for when any of this happens. Source: reboot(2), initctl(5) of sysvinit; clients specification, section 3,
DECISION.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from upstartd.machine import LinuxMachine, Reboot
from upstartd.utmp import UTMP, WTMP
from upstartd_clients import processes
from upstartd_clients.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterable


# The C library has no reboot() with an argument. The numbers that the system call needs are in linux/reboot.h; its own
# is another one than 142, which is what all newer ones have, on these architectures.
_MAGIC = (0xFEE1DEAD, 672274793)
_RESTART_WITH_ARGUMENT = 0xA1B2C3D4
_SYSTEM_CALLS = {"x86_64": 169, "i386": 88, "i486": 88, "i586": 88, "i686": 88, "armv6l": 88, "armv7l": 88,
                 "ppc": 88, "ppc64": 88, "ppc64le": 88, "s390x": 88}


class Machine:
    """This machine."""

    utmp = UTMP
    wtmp = WTMP
    nologin = "/etc/nologin"
    pid_file = "/var/run/shutdown.pid"
    pid_file_beside = "/var/run/upstartd-shutdown.pid"  # where process 1 may have a shutdown of its own
    requests = ("/run/initctl", "/dev/initctl")  # where a System V init takes requests
    devices = "/dev"
    proc = "/proc"

    def is_ours(self) -> bool:
        """Whether process 1 is upstartd, so that the machine's end is ours to bring about."""
        return processes.first_is_upstartd(self.proc)

    def init(self) -> str:
        """What process 1 is called."""
        return processes.names(self.proc).get(1, "another init")

    def must_be_root(self) -> None:
        """LocalError if the user is not root."""
        if os.geteuid() != 0:
            raise LocalError("Need to be root")

    def now(self) -> float:
        """The time, in seconds since the epoch."""
        return time.time()

    def wait(self, seconds: float, signals: Iterable[int]) -> bool:
        """Wait so long, or until one of these signals comes, which must be blocked; whether one came."""
        return signal.sigtimedwait(signals, max(seconds, 0)) is not None

    def sync(self) -> None:
        """Have everything written that is still to be written to disks."""
        os.sync()

    def reboot(self, how: Reboot, argument: str = "") -> None:
        """End the machine; `argument` is for the kernel, and goes with RESTART. LocalError if that does not work.

        In a container, it is the container that ends.
        """
        if not self.is_ours():  # Whoever calls has asked already. But this is not to happen by mistake.
            raise LocalError(f"process 1 is {self.init()}, not upstartd")
        try:
            if argument:
                _restart(argument)
            else:
                LinuxMachine().reboot(how)
        except OSError as error:
            raise LocalError(str(error.strerror)) from error


def _restart(argument: str) -> None:
    """Restart with an argument for the kernel (reboot(2)); an OSError if that does not work."""
    import ctypes

    words = [ctypes.c_long(word) for word in (_SYSTEM_CALLS.get(os.uname().machine, 142), *_MAGIC,
                                              _RESTART_WITH_ARGUMENT)]
    if ctypes.CDLL(None, use_errno=True).syscall(*words, ctypes.c_char_p(os.fsencode(argument))):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
