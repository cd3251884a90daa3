"""docs/how-to/session-init.md, as written: the daemon is what a session is, and its jobs are the desktop."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from support.daemon import Daemon
from support.tutorial import ROOT
from support.waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "how-to" / "session-init.md").read_text()
# What stands for the programs of a desktop: a window manager that ends when somebody logs out, a panel that stays.
PROGRAMS = {"openbox": "sh -c 'until [ -e $HOME/logout ]; do sleep 0.05; done'", "lxpanel": "sleep 1000"}


def jobs_of_the_page() -> dict[str, str]:
    """The job files on the page, by name: blocks that begin with a comment that names the file."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, flags=re.MULTILINE)
    found = {}
    for block in blocks:
        lines = [line.removeprefix("    ") for line in block.strip("\n").splitlines()]
        if name := re.fullmatch(r"# (\w+)\.conf", lines[0]):
            found[name[1]] = "\n".join(lines) + "\n"
    return found


def start(tmp_path: Path, *names: str) -> Daemon:
    daemon = Daemon(tmp_path, "--user")
    for name in names:
        text = jobs_of_the_page()[name]
        for program, stand_in in PROGRAMS.items():
            text = text.replace(program, stand_in)
        daemon.write_job(name, text)
    return daemon


def test_the_session_is_over_when_the_program_that_it_is_about_ends(tmp_path: Path) -> None:
    assert {*jobs_of_the_page()} == {"panel", "desktop", "dbus"}
    with start(tmp_path, "panel", "desktop") as daemon:
        wait_until(lambda: daemon.run("status", "panel").startswith("panel start/running"), "the panel")
        (tmp_path / "home" / "logout").touch()
        assert daemon.process.wait(LIMIT) == 0
        assert list((tmp_path / "run" / "upstart" / "sessions").iterdir()) == []


@pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon is not installed")
def test_a_job_starts_the_session_s_bus_and_has_the_daemon_join_it(tmp_path: Path) -> None:
    with start(tmp_path, "dbus") as daemon:
        wait_until(lambda: daemon.run("status", "dbus").startswith("dbus start/running"), "the bus")
        address = daemon.run("initctl", "get-env", "--global", "DBUS_SESSION_BUS_ADDRESS").strip()
        assert address == f"unix:path={tmp_path}/run/bus"
        daemon.environ["DBUS_SESSION_BUS_ADDRESS"] = address
        assert daemon.run("initctl", "--session", "version") == "init (upstart 1.13.2)\n"


@pytest.mark.skipif(shutil.which("dbus-send") is None, reason="dbus-send is not installed")
def test_the_page_s_command_logs_out(tmp_path: Path) -> None:
    command = re.search(r"^    (dbus-send .*)$", PAGE, flags=re.MULTILINE)
    assert command is not None
    with start(tmp_path, "panel", "desktop") as daemon:
        daemon.write_job("goodbye", f"start on session-end TYPE=logout\ntask\nexec sh -c 'echo bye > {tmp_path}/bye'\n")
        wait_until(lambda: daemon.run("status", "panel").startswith("panel start/running"), "the panel")
        daemon.run("sh", "-c", command[1])
        assert daemon.process.wait(LIMIT) == 0
        assert (tmp_path / "bye").read_text() == "bye\n"
