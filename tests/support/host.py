"""A host on which upstartd is installed as its packages would: job files in /etc/init, the commands in /sbin.

All of it is in namespaces (mounts, network) of the daemon, and ends with it. It takes root; without, tests are skipped.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.daemon import PROGRAMS, Daemon
from support.dbus_daemon import DBusDaemon
from support.namespaces import network_namespace
from support.waiting import LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

COMMANDS = ("initctl", "start", "stop", "restart", "reload", "status", "service")

# Overlays on the directories that an installation writes to, with what it puts there. Where process 1 is systemd, that
# is kept from those who look for it: the daemon of this host is ours.
_INSTALL = """
overlay() {{
    mkdir -p {scratch}/$2 {scratch}/$2.work
    mount -t overlay overlay -o lowerdir=$1,upperdir={scratch}/$2,workdir={scratch}/$2.work $1
}}
overlay /etc etc
overlay /usr/sbin sbin
mkdir -p /etc/init
mount --bind {scratch}/init /etc/init
for command in {commands}; do ln -sf {programs}/$command /usr/sbin/$command; done
[ ! -d /run/systemd ] || mount -t tmpfs tmpfs /run/systemd
"""


class Host(Daemon):
    """The host's daemon. `init` is its /etc/init."""

    def __init__(self, scratch: Path, bus: DBusDaemon) -> None:
        install = _INSTALL.format(scratch=scratch, programs=PROGRAMS, commands=" ".join(COMMANDS))
        super().__init__(scratch, "--no-startup-event", bus=bus, confdir=False, prepare=install)

    def there(self, *command: str, environ: Mapping[str, str] | None = None,
              limit: float = LIMIT) -> subprocess.CompletedProcess[str]:
        """Run a program on the host: how it ended and what it said. `environ`: more of an environment."""
        return subprocess.run(["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", *command],
                              env={**self.environ, **(environ or {})}, cwd="/", stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=limit, check=False)


@contextmanager
def host(scratch: Path) -> Iterator[Host]:
    """A host that runs, with a system bus that has our policy file."""
    with network_namespace(), DBusDaemon(scratch, system=True) as bus, Host(scratch, bus) as running:
        yield running
