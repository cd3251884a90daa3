"""The tutorial as root plays it: a system instance beside another init, on a system bus with our policy file.

It runs in a network namespace of its own, since the system instance's private socket has one fixed name there is.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from support.daemon import Daemon
from support.dbus_daemon import DBusDaemon
from support.namespaces import network_namespace
from support.tutorial import copy_job, copy_programs, fetch, free_port
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[DBusDaemon]:
    with network_namespace(), DBusDaemon(tmp_path, system=True) as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, bus: DBusDaemon) -> Iterator[Daemon]:
    with Daemon(tmp_path, "--no-startup-event", bus=bus) as running:
        yield running


def test_testjob_runs_for_service_start_and_for_an_event_that_comes_over_the_bus(daemon: Daemon) -> None:
    log = daemon.scratch / "testjob.log"
    copy_job("testjob", daemon.init, daemon.scratch, free_port())
    assert daemon.run("service", "testjob", "start").startswith("testjob ")
    wait_until(lambda: log.exists() and log.read_text().count("testjob ran at ") == 1, "the first line")
    daemon.run("initctl", "--system", "emit", "runlevel", "RUNLEVEL=2")
    wait_until(lambda: log.read_text().count("testjob ran at ") == 2, "the second line")


def test_nodetest_lives_its_life_over_the_bus_and_over_the_private_socket_alike(daemon: Daemon) -> None:
    port = free_port()
    copy_programs(daemon.scratch)
    copy_job("nodetest", daemon.init, daemon.scratch, port)
    pid_file = daemon.scratch / "nodetest.pid"

    def running() -> int:
        over_bus = daemon.run("initctl", "--system", "status", "nodetest")
        assert daemon.run("service", "nodetest", "status") == over_bus
        match = re.fullmatch(r"nodetest start/running, process (\d+)\n", over_bus)
        assert match, over_bus
        assert fetch(f"http://127.0.0.1:{port}/") == "Hello World\n"
        assert pid_file.read_text() == f"{match[1]}\n"
        return int(match[1])

    daemon.run("start", "--system", "nodetest")
    first = running()
    daemon.run("service", "nodetest", "restart")
    second = running()
    assert second != first
    daemon.run("restart", "--system", "nodetest")
    third = running()
    assert third not in (first, second)
    assert daemon.run("stop", "--system", "nodetest") == "nodetest stop/waiting\n"
    assert not os.path.exists(f"/proc/{third}")
    assert not pid_file.exists()
    written = (daemon.scratch / "nodetest.log").read_text()
    assert re.sub(r"\[.+\] ", "", written) == "Node Test Starting\nNode Test Stopping\n" * 3


def test_sigterm_stops_the_jobs_with_their_pre_stop_and_then_the_daemon(daemon: Daemon, bus: DBusDaemon) -> None:
    copy_programs(daemon.scratch)
    copy_job("nodetest", daemon.init, daemon.scratch, free_port())
    daemon.run("service", "nodetest", "start")
    pid = int((daemon.scratch / "nodetest.pid").read_text())
    assert daemon.end() == 0
    assert not os.path.exists(f"/proc/{pid}")
    assert not (daemon.scratch / "nodetest.pid").exists()
    assert "Node Test Stopping" in (daemon.scratch / "nodetest.log").read_text()
    wait_until(lambda: not bus.has_name(), "the name to be given up")


def test_a_job_has_little_of_the_daemon_s_environment(daemon: Daemon) -> None:
    daemon.write_job("env", f"task\nexec env > {daemon.scratch}/out\n")
    daemon.run("start", "--system", "env")
    found = dict(line.split("=", 1) for line in (daemon.scratch / "out").read_text().splitlines())
    found.pop("PWD", None)  # the shell's own
    assert found == {"PATH": daemon.environ["PATH"], "TERM": "dumb", "UPSTART_JOB": "env", "UPSTART_INSTANCE": ""}
