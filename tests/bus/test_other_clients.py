"""Clients of other makes, libdbus, GLib and sd-bus: each opens a connection and reads answers in its own way."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.bus_host import MANAGER, ROOT, Served, job_path
from support.dbus_daemon import DBusDaemon
from support.waiting import LIMIT
from upstartd.bus.bus_keeper import BusKind
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as served:
        served.do(served.host.define, "web")
        yield served


@pytest.fixture
def bus(served: Served, tmp_path: Path) -> Iterator[DBusDaemon]:
    with DBusDaemon(tmp_path) as bus:
        served.connect_bus(bus.address, BusKind.SESSION)
        yield bus


def run(*command: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)


def output_of(*command: str) -> str:
    done = run(*command)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_libdbus_calls_and_reads_properties_on_the_private_socket(served: Served) -> None:
    send = ("dbus-send", f"--peer=unix:abstract={served.name}", "--print-reply=literal", ROOT)
    assert output_of(*send, f"{MANAGER}.GetJobByName", "string:web").split() == [job_path("web")]
    said = output_of(*send, "org.freedesktop.DBus.Properties.Get", f"string:{MANAGER}", "string:version")
    assert said.split() == ["variant", "init", "(upstart", "1.13.2)"]


def test_glib_introspects_and_calls_over_a_bus(bus: DBusDaemon) -> None:
    where = ("--address", bus.address, "--dest", "com.ubuntu.Upstart", "--object-path", ROOT)
    said = output_of("gdbus", "introspect", *where, "--recurse")
    for text in ("EmitEventWithFile(in  s name", "readwrite s log_priority = 'debug'", f"node {job_path('web')}",
                 "readonly aas start_on = []"):
        assert text in said
    said = output_of("gdbus", "call", *where, "--method", f"{MANAGER}.EmitEvent", "boot", "['A=b']", "true")
    assert said == "()\n"


def test_sd_bus_calls_over_a_bus(bus: DBusDaemon) -> None:
    said = output_of("busctl", f"--address={bus.address}", "call", "com.ubuntu.Upstart", ROOT, MANAGER, "GetAllJobs")
    assert said == f'ao 1 "{job_path("web")}"\n'


@pytest.mark.parametrize(
    "command",
    [
        ("gdbus", "call", "--address", "ADDRESS", "--object-path", ROOT, "--method", f"{MANAGER}.GetAllJobs"),
        ("busctl", "--address=ADDRESS", "call", "com.ubuntu.Upstart", ROOT, MANAGER, "GetAllJobs"),
    ],
)
def test_who_takes_the_private_socket_for_a_bus_gets_in_and_no_further(
    served: Served, command: tuple[str, ...]
) -> None:
    done = run(*[word.replace("ADDRESS", f"unix:abstract={served.name}") for word in command])
    assert done.returncode != 0  # it says Hello, as one does on a bus
    assert served.host.logged(Priority.INFO) == ["Connection from private client"]
    assert served.host.logged(Priority.WARN) == []
