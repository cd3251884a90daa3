"""The job directories and files of a daemon: what it says of them, or what it would say if it were there.

Not responsible for reading them as the daemon does (upstartd.conf) nor for changing them (enabling.py). Source: runtime
specification, sections 7.1 and 10; configuration specification, section 7.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from upstartd_clients.connect import Way
from upstartd_clients.errors import (
    BadAnswer,
    ConnectionFailed,
    LocalError,
    NobodyThere,
    NoSessionKnown,
    PermissionDenied,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from upstartd.places import Places
    from upstartd_clients.actions import Request


class JobFile(NamedTuple):
    """A file that the daemon has read: its path, the job that it is about, and what is wrong with it."""

    path: str
    job: str
    diagnostics: list[str]


class Sources(NamedTuple):
    """The job directories of a daemon, and the files that it has found there."""

    directories: list[str]
    files: list[JobFile]


def sources_in(state: str) -> Sources:
    """What the daemon's state says of job files; BadAnswer if it has another layout than we know."""
    try:
        return described(json.loads(state)["conf_sources"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadAnswer("cannot understand Upstart: its state has another layout") from error


def described(sources: Iterable[Mapping[str, Any]]) -> Sources:
    """The same from plain data; a KeyError or TypeError if that has another layout."""
    sources = list(sources)
    files = [JobFile(_text(file["path"]), _text(file["job"]), [_text(line) for line in file["diagnostics"]])
             for source in sources for file in source["files"]]
    return Sources([_text(source["path"]) for source in sources], files)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def job_directories(request: Request) -> list[str]:
    """The job directories of the daemon that a command is for, the one with the highest precedence first.

    The daemon is asked. Where none answers, or it does not tell, they are those that it would have without options;
    but no directories are those of a daemon on a session bus, which is there for trying things out.
    """
    try:
        directories = sources_in(request.upstart.manager("GetState")).directories
    except (ConnectionFailed, NobodyThere, PermissionDenied) as error:
        of_user = isinstance(error, NoSessionKnown) or request.route.way is Way.SESSION_SOCKET
        if not of_user and request.route.way is Way.SESSION_BUS:
            raise
        directories = list(default_places(request.environ, of_user=of_user).job_directories)
    for directory in directories:
        if not os.path.isabs(directory):
            raise LocalError(f"cannot find the job files: the daemon was told of {directory}, a relative path")
    return directories


def default_places(environ: Mapping[str, str], *, of_user: bool) -> Places:
    """Where a daemon without options has its files: the system's, or this user's own."""
    from upstartd import cli, places  # only where no daemon can be asked

    options = cli.parse(["--user"] if of_user else [], environ, uid=0, pid=0)
    return places.find(options, environ, uid=os.geteuid(), pid=0)
