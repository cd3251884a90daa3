"""upstart-monitor and initctl2dot as programs, with real daemons."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.daemon import PROGRAMS, Daemon
from support.dbus_daemon import DBusDaemon
from support.namespaces import network_namespace
from support.waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEB = "start on boot\nexec sleep 1000\n"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, "--user", "--no-startup-event") as running:
        running.write_job("web", WEB)
        yield running


class Monitor:
    """A context manager: upstart-monitor, with its output in a file. It has connected when entering is over."""

    def __init__(self, daemon: Daemon, *arguments: str, head: bool = True) -> None:
        self._path = daemon.scratch / "monitored"
        self._head = head
        self._command = ["upstart-monitor", *arguments]
        self._daemon = daemon

    def __enter__(self) -> Monitor:
        with self._path.open("wb") as file:
            self.process = subprocess.Popen(self._command, env=self._daemon.environ, stdin=subprocess.DEVNULL,
                                            stdout=file, stderr=subprocess.STDOUT)
        if self._head:  # it is written when signals come
            wait_until(lambda: self.text().count("\n") >= 4, "the head")
        else:
            self.emit_until_seen("ready")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def emit_until_seen(self, event: str) -> None:
        """Emit an event again and again until it is there: signals come to those only who follow already."""
        def look() -> bool:
            self._daemon.run("initctl", "emit", event)
            return event in self.text()

        wait_until(look, event)

    def text(self) -> str:
        return self._path.read_text()

    def wait_for(self, text: str) -> list[str]:
        """The lines, once this text is in one of them."""
        wait_until(lambda: text in self.text(), text)
        return self.text().splitlines()


def test_events_are_shown_as_upstart_s_own_monitor_does(daemon: Daemon) -> None:
    with Monitor(daemon) as monitor:
        assert monitor.text().splitlines() == [
            "# Upstart Event Monitor (console mode)", "# Connected to D-Bus session socket",
            "# Columns: time, event and environment", ""]
        daemon.run("initctl", "emit", "boot", "A=x y", "B=p=q")
        lines = monitor.wait_for("started")[4:]
    # An event is told of when it is finished, which boot is when the job runs.
    assert [re.sub(TIME, "TIME", line) for line in lines] == [
        "TIME\tstarting JOB='web' INSTANCE=''", "TIME\tboot A='x y' B='p=q'", "TIME\tstarted JOB='web' INSTANCE=''"]


def test_with_all_goals_and_states_are_shown_and_a_filter_chooses(daemon: Daemon) -> None:
    daemon.write_job("other", WEB)
    with Monitor(daemon, "-a", "-s", " | ", "-j", "w*", "-e", "bo?t") as monitor:
        daemon.run("initctl", "emit", "boot")
        lines = monitor.wait_for("| started")[4:]
    shown = [line.partition(" | ")[2] for line in lines]
    assert shown[:3] == ["web added", "web goal start", "web state starting"]
    assert [text for text in shown if "state" not in text][2:] == [
        "starting JOB='web' INSTANCE=''", "boot", "started JOB='web' INSTANCE=''"]
    assert shown.index("web state pre-starting") < shown.index("web state running") < shown.index("boot")
    assert not any("other" in line for line in lines)


def test_as_json_there_is_an_object_on_each_line(daemon: Daemon) -> None:
    with Monitor(daemon, "--json", head=False) as monitor:
        daemon.run("start", "web")
        lines = monitor.wait_for('"started"')
    told = [json.loads(line) for line in lines]
    states = [one["state"] for one in told if one["signal"] == "StateChanged"]
    assert states[-1] == "running"
    assert {"name": "started", "env": {"JOB": "web", "INSTANCE": ""}} in [
        {"name": one["name"], "env": one["env"]} for one in told if one["signal"] == "EventEmitted"]


class Screen:
    """A terminal, and all that has been written on it."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        self.text = ""

    def wait_for(self, text: str) -> None:
        """Wait until this text stands there."""
        def look() -> bool:
            with contextlib.suppress(BlockingIOError):
                self.text += os.read(self._ours, 65536).decode()
            return text in self.text

        wait_until(look, text)

    def close(self) -> None:
        os.close(self._ours)
        os.close(self.theirs)


@pytest.mark.parametrize(("words", "shows_states"), [([], True), (["--no-gui"], False)])
def test_on_a_terminal_states_are_shown_and_in_colour(
        daemon: Daemon, words: list[str], shows_states: bool) -> None:
    screen = Screen()
    with subprocess.Popen(["upstart-monitor", *words], env=daemon.environ | {"TERM": "xterm"}, stdin=subprocess.DEVNULL,
                          stdout=screen.theirs, stderr=screen.theirs) as process:
        screen.wait_for("environment")
        daemon.run("initctl", "emit", "boot")
        screen.wait_for("\x1b[36mboot\x1b[0m")
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == -signal.SIGINT
    assert ("\x1b[32mweb state running\x1b[0m" in screen.text) is shows_states
    screen.close()


def test_who_hangs_up_ends_it_without_a_word(daemon: Daemon) -> None:
    with subprocess.Popen(["upstart-monitor"], env=daemon.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("# ")
        process.stdout.close()

        def ended() -> bool:
            daemon.run("initctl", "emit", "boot")
            return process.poll() is not None

        wait_until(ended, "the end")
        assert process.returncode == 1
        assert process.stderr.read() == ""


def test_it_ends_with_the_daemon(daemon: Daemon) -> None:
    with Monitor(daemon) as monitor:
        daemon.kill()
        assert monitor.process.wait(LIMIT) == 1
        assert monitor.text().splitlines()[4].startswith("upstart-monitor: lost the connection to Upstart")


@pytest.mark.parametrize("destination", ["system-bus", "session-bus"])
def test_on_a_bus_it_follows_the_daemon_too(tmp_path: Path, destination: str) -> None:
    with DBusDaemon(tmp_path) as bus, Daemon(tmp_path, "--session", "--no-startup-event", bus=bus) as daemon:
        daemon.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
        words = [] if destination == "system-bus" else ["-d", destination]  # the first is what it does by itself
        with Monitor(daemon, *words) as monitor:
            assert monitor.text().splitlines()[1] == f"# Connected to D-Bus {destination.replace('-', ' ')}"
            daemon.run("initctl", "--session", "emit", "boot", "A=1")
            assert monitor.wait_for("boot")[4].endswith("\tboot A='1'")


def test_the_system_s_own_socket_needs_no_bus(tmp_path: Path) -> None:
    with network_namespace(), Daemon(tmp_path, "--no-startup-event") as daemon, \
            Monitor(daemon, "-d", "system-socket") as monitor:
        daemon.run("initctl", "emit", "boot")
        assert monitor.wait_for("boot")[4].endswith("\tboot")


# -- initctl2dot ------------------------------------------------------------------------------------------------------


def test_what_a_daemon_says_and_what_show_config_has_printed_give_the_same_graph(daemon: Daemon) -> None:
    daemon.write_job("net", "emits net-*\nstart on starting web or runlevel [2345]\n")
    (daemon.init / "db").mkdir()
    daemon.write_job("db/one", "start on net-up IFACE=eth0\nstop on (stopping web and x) or y\n")
    assert daemon.run("initctl2dot", "-o", "asked.dot") == ""
    (daemon.scratch / "printed").write_text(daemon.run("initctl", "show-config", "-e"))
    assert daemon.run("initctl2dot", "-f", "printed", "-o", "read.dot") == ""
    asked, read = ((daemon.scratch / name).read_text().splitlines() for name in ("asked.dot", "read.dot"))
    assert asked[2:] == read[2:]
    for edge in ("job_net:start -> job_web:job", "event_net_up -> job_dbslashone:start",
                 "event_y -> job_dbslashone:stop"):
        assert any(edge in line for line in asked)
    printed = subprocess.run("initctl show-config -e | initctl2dot -f - -o -", shell=True, env=daemon.environ,
                             capture_output=True, text=True, check=True)
    assert printed.stdout.splitlines()[2:] == asked[2:]
    assert printed.stderr == ""


def test_every_program_is_there() -> None:
    for name in ("upstart-job", "initctl2dot", "upstart-monitor"):
        done = subprocess.run([PROGRAMS / name, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[0] == f"{name} (upstart 1.13.2)"
