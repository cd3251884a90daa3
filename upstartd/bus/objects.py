"""Objects by their paths: names in paths, what is where, and what introspection says of it.

Nothing is exported: a path is taken apart and looked up when a call comes for it, so 5,000 jobs cost nothing here.
The jobs of a chroot session are below its root directory, which is one element. Its first character is a slash, and no
job's name begins with that, so such paths are never those of an instance. Source: lifecycle specification, section 1;
events specification, "Standard interfaces"; runtime specification, 11; design, 8.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from upstartd.bus import interfaces
from upstartd.errors import UnknownInstance, UnknownJob

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from upstartd.bus.host import Host
    from upstartd.engine.instance import Instance
    from upstartd.engine.job_class import JobClass

    Target: TypeAlias = Host | JobClass | Instance

MANAGER_PATH = "/com/ubuntu/Upstart"
_JOBS_PATH = MANAGER_PATH + "/jobs"

_STANDARD = (interfaces.PROPERTIES, interfaces.INTROSPECTABLE, interfaces.PEER)
_OF_MANAGER = (interfaces.MANAGER, *_STANDARD)
_OF_JOB = (interfaces.JOB, *_STANDARD)
_OF_INSTANCE = (interfaces.INSTANCE, *_STANDARD)
# Every octet but letters and digits, with what stands for it.
_ESCAPES = {octet: f"_{octet:02x}" for octet in range(256) if not (octet < 128 and chr(octet).isalnum())}
_ESCAPE = re.compile(rb"_([0-9a-f]{2})")

_DOCTYPE = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    '  "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)


class Node(NamedTuple):  # One is made for every call, and a frozen dataclass takes five times as long to be.
    """What is at a path.

    `host` has the jobs there; `target` is the object, None where there are only objects below. `interfaces` are those
    it has, its own first. `subject` is how messages name a job or instance.
    """

    host: Host
    path: str
    target: Target | None
    interfaces: tuple[str, ...]
    subject: str = ""


def escape(name: str) -> str:
    """A job's or instance's name as an element of a path."""
    if name.isalnum() and name.isascii():
        return name
    if not name:
        return "_"
    return name.encode("utf-8", "surrogateescape").decode("latin-1").translate(_ESCAPES)


def unescape(element: str) -> str | None:
    """The name that has this element of a path; None where no name has."""
    if element.isalnum() and element.isascii():
        return element
    if element == "_":
        return ""
    raw = _ESCAPE.sub(lambda code: bytes.fromhex(code[1].decode()), element.encode("utf-8", "surrogateescape"))
    name = raw.decode("utf-8", "surrogateescape")
    return name if escape(name) == element else None


def _jobs_path(root: str) -> str:
    """What is above the jobs of the session with this root directory, "" being the daemon's own."""
    return f"{_JOBS_PATH}/{escape(root)}" if root else _JOBS_PATH


def job_path(job: str, root: str = "") -> str:
    """Where a job is."""
    return f"{_jobs_path(root)}/{escape(job)}"


def instance_path(job: str, instance: str, root: str = "") -> str:
    """Where an instance of a job is."""
    return f"{_jobs_path(root)}/{escape(job)}/{escape(instance)}"


def find(caller: Host, path: str) -> Node:
    """What is at `path` for a caller whose jobs those of `caller` are; those of others are there as well.

    Where there is nothing, a node without an object, with what any path answers to.
    """
    if path == MANAGER_PATH:
        return Node(caller, path, caller, _OF_MANAGER)
    if path.startswith(_JOBS_PATH + "/"):
        names = [unescape(element) for element in path[len(_JOBS_PATH) + 1 :].split("/")]
        root = names[0] if names[0] and names[0].startswith("/") else ""
        host = caller.daemon.session(root)
        if host is not None:
            return _find_job(host, path, names[1:] if root else names)
    elif path == "/" or (path and f"{_JOBS_PATH}/".startswith(path + "/")):
        return Node(caller, path, None, (interfaces.INTROSPECTABLE, interfaces.PEER))
    return Node(caller, path, None, (interfaces.PEER,))


def _find_job(host: Host, path: str, names: list[str | None]) -> Node:
    """What is at `path`, which ends in these names below the jobs of `host`."""
    try:
        match names:
            case []:
                return Node(host, path, None, (interfaces.INTROSPECTABLE, interfaces.PEER))
            case [str(job)]:
                return Node(host, path, host.engine.job_class(job), _OF_JOB, job)
            case [str(job), str(instance)]:
                found = host.engine.instance_by_name(job, instance)
                return Node(host, path, found, _OF_INSTANCE, found.title)
    except (UnknownJob, UnknownInstance):
        pass  # as of a path that never was
    return Node(host, path, None, (interfaces.PEER,))


def introspect(node: Node) -> str:
    """The introspection data of a node: its interfaces but Peer, and its children."""
    described = [interfaces.DESCRIPTIONS[name] for name in node.interfaces if name != interfaces.PEER]
    if node.target is None:
        described = []  # a path above objects lists children only
    children = [f'  <node name="{child}"/>\n' for child in _children(node)]
    return "".join([_DOCTYPE, "<node>\n", *described, *children, "</node>\n"])


def _children(node: Node) -> Iterable[str]:
    above_jobs = _jobs_path(node.host.root)
    if node.path == above_jobs:
        return map(escape, node.host.engine.classes)
    if interfaces.JOB in node.interfaces:
        return map(escape, node.target.instances)  # type: ignore[union-attr]  # what has that interface is a job
    if interfaces.INSTANCE in node.interfaces:
        return ()
    above = node.path.rstrip("/") + "/"
    return [above_jobs[len(above) :].partition("/")[0]]
