"""Where the clients differ from Upstart's on purpose, with real daemons and without any (design, 22, 34 and 35)."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from support.daemon import PROGRAMS, Daemon

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = {"PATH": "/usr/bin:/bin", "UPSTART_SESSION": "unix:abstract=/no/such/daemon"}


def test_check_config_fails_where_no_daemon_answers() -> None:
    done = subprocess.run([PROGRAMS / "initctl", "check-config"], env=NOBODY, capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("initctl: Unable to connect to Upstart: ")


def test_init_checkconf_needs_no_daemon(tmp_path: Path) -> None:
    (tmp_path / "web.conf").write_text("exec sleep 1000\n")
    done = subprocess.run([PROGRAMS / "init-checkconf", "web.conf"], env=NOBODY, cwd=tmp_path, capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "File web.conf: syntax ok\n", "")


def test_stopping_a_job_whose_file_is_gone_succeeds(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user") as daemon:
        path = daemon.write_job("web", "exec sleep 1000\n")
        daemon.run("start", "web")
        path.unlink()
        assert daemon.run("stop", "web") == "web stop/waiting\n"
        assert daemon.try_run("status", "web").stderr == "status: Unknown job: web\n"


def test_jobs_and_instances_are_listed_in_order(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user") as daemon:
        for job in ("web", "db", "net", "a-first"):
            daemon.write_job(job, "instance $N\n" if job == "net" else "emits x\n")
        for number in ("b", "c", "a"):
            daemon.run("start", "net", f"N={number}")
        assert daemon.run("initctl", "list") == (
            "a-first stop/waiting\ndb stop/waiting\n"
            "net (a) start/running\nnet (b) start/running\nnet (c) start/running\nweb stop/waiting\n")
        assert daemon.run("initctl", "show-config") == "a-first\n  emits x\ndb\n  emits x\nnet\nweb\n  emits x\n"


def test_a_destination_means_nothing_over_a_session_s_own_socket(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user") as daemon:
        assert daemon.run("initctl", "--dest=com.example.Nobody", "version") == "init (upstart 1.13.2)\n"


@pytest.mark.parametrize("directory", ["", "relative"])
def test_without_a_usable_runtime_directory_there_are_no_sessions(directory: str) -> None:
    done = subprocess.run([PROGRAMS / "initctl", "list-sessions"], env=NOBODY | {"XDG_RUNTIME_DIR": directory},
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
