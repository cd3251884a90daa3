"""Where the daemon's files and sockets are: job directories, logs, cache, private socket, session file.

All of it follows from the options, the environment and the daemon's uid and pid; the disk is not asked. Only
make_private_directory() changes anything. Not responsible for what lies in those places. Source: runtime
specification, 1.1, 1.2 and 7; configuration specification, 7; design, 28.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from upstartd.cli import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from upstartd.cli import Options

SYSTEM_JOBS = "/etc/init"
SYSTEM_LOGS = "/var/log/upstart"
SYSTEM_CACHE = "/var/cache/upstartd"
SYSTEM_SOCKET = "/com/ubuntu/upstart"
JOBS_OF_ALL_USERS = "/usr/share/upstart/sessions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The places of one daemon. `left_out` has a sentence for each that cannot be told, and why."""

    job_directories: tuple[str, ...]  # the one with the highest precedence first
    log_directory: str | None  # None: the output of jobs cannot be kept
    own_directories: tuple[str, ...]  # those of them that are the user's own: they are made when they are missing
    cache_directory: str | None  # None: what job files mean is not kept. It is made when there is something to keep
    socket_name: str | None  # of the private socket, in the abstract namespace
    session_file: str | None
    left_out: tuple[str, ...] = ()

    @property
    def socket_address(self) -> str | None:
        """The private socket as D-Bus writes addresses: what UPSTART_SESSION holds in a user session."""
        return None if self.socket_name is None else f"unix:abstract={self.socket_name}"


def find(options: Options, environ: Mapping[str, str], *, uid: int, pid: int) -> Places:
    """The places of a daemon with these options, this environment and these ids."""
    places = _user(options, environ, uid, pid) if options.mode is Mode.USER else _system(options)
    jobs = (*options.prepend_confdirs, *places.job_directories, *options.append_confdirs)
    return replace(places, job_directories=tuple(dict.fromkeys(jobs)))


def _system(options: Options) -> Places:
    return Places(
        job_directories=options.confdirs or (SYSTEM_JOBS,),
        log_directory=options.logdir or SYSTEM_LOGS,
        own_directories=(),
        cache_directory=(options.cachedir or SYSTEM_CACHE) if options.cache else None,
        socket_name=SYSTEM_SOCKET if options.mode is Mode.SYSTEM else None,
        session_file=None,
    )


def _user(options: Options, environ: Mapping[str, str], uid: int, pid: int) -> Places:
    left_out: list[str] = []

    def below_home(path: str, purpose: str) -> str | None:
        """`path` below HOME; None where there is no HOME, and a word about it if it has a purpose that is missed."""
        home = environ.get("HOME", "")
        if os.path.isabs(home):
            return os.path.join(home, path)
        if purpose:
            left_out.append(f"cannot {purpose} ~/{path}: HOME is {'not an absolute path' if home else 'not set'}")
        return None

    def base(variable: str, fallback: str, purpose: str = "") -> str | None:
        """The directory below an XDG base directory, which has the same name as the one below HOME."""
        directory, name = environ.get(variable, ""), os.path.basename(fallback)
        return os.path.join(directory, name) if os.path.isabs(directory) else below_home(fallback, purpose)

    jobs: list[str | None] = []
    if not options.confdirs:
        jobs.append(base("XDG_CONFIG_HOME", ".config/upstart", "read jobs from"))
        jobs.append(below_home(".init", "read jobs from"))
        jobs += [os.path.join(directory, "upstart")
                 for directory in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if os.path.isabs(directory)]
        jobs += [JOBS_OF_ALL_USERS] if options.system_user_confdir else []
    logs = options.logdir or base("XDG_CACHE_HOME", ".cache/upstart", "write the output of jobs to")
    own = (None if options.confdirs else jobs[0], logs if options.log_jobs and not options.logdir else None)
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    return Places(
        job_directories=options.confdirs or tuple(directory for directory in jobs if directory is not None),
        log_directory=logs,
        own_directories=tuple(directory for directory in own if directory is not None),
        cache_directory=(options.cachedir or base("XDG_CACHE_HOME", ".cache/upstartd")) if options.cache else None,
        socket_name=f"{SYSTEM_SOCKET}-session/{uid}/{pid}",
        session_file=os.path.join(runtime, "upstart/sessions", f"{pid}.session") if os.path.isabs(runtime) else None,
        left_out=tuple(left_out),
    )


def make_private_directory(path: str) -> None:
    """Make a directory that is the user's own, and those above it, where they are missing: mode 0700 each.

    An OSError where that does not work. (os.makedirs() gives its mode to the last one only.)
    """
    if path and not os.path.isdir(path):
        make_private_directory(os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
