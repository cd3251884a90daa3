"""initctl and its links as processes, with a real daemon: streams, signals, terminals, locales.

What they print in ordinary cases is in the conformance scenarios.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.daemon import Daemon
from support.waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLEEP = "exec sleep 1000\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, "--user", "--no-startup-event") as running:
        yield running


def test_a_reader_that_hangs_up_is_no_error_to_talk_about(daemon: Daemon) -> None:
    for number in range(1000):  # more than a pipe holds before it is read
        daemon.write_job(f"a-job-with-a-rather-long-name-so-that-there-is-much-to-print-{number:04}", "")
    done = daemon.try_run("sh", "-c", "initctl list | head -n 1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("-0000 stop/waiting\n")


def test_a_full_disk_is_an_error(daemon: Daemon) -> None:
    done = daemon.try_run("sh", "-c", "initctl version > /dev/full")
    assert (done.returncode, done.stderr) == (1, "initctl: cannot write output: No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_do_not_matter(daemon: Daemon, closed: str) -> None:
    daemon.write_job("web", SLEEP)
    assert daemon.try_run("sh", "-c", f"start web {closed}").returncode == 0
    assert daemon.try_run("sh", "-c", f"start web {closed}").returncode == 1
    assert "start/running" in daemon.run("status", "web")


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "en_US.ISO-8859-1"])
def test_text_is_the_same_in_every_locale(daemon: Daemon, locale: str) -> None:
    for name in ("Zoë", "abc", "日本"):
        daemon.write_job(name, f'description "{name}"\n')
    daemon.environ |= {"LC_ALL": locale, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run(["initctl", "list"], env=daemon.environ, capture_output=True, check=True)
    assert done.stdout.decode("utf-8") == "Zoë stop/waiting\nabc stop/waiting\n日本 stop/waiting\n"
    done = subprocess.run(["status", "Zoë".encode()], env=daemon.environ, capture_output=True, check=True)
    assert done.stdout.decode("utf-8") == "Zoë stop/waiting\n"


def test_an_interrupt_ends_the_waiting_and_not_the_job(daemon: Daemon) -> None:
    daemon.write_job("slow", f"pre-start exec sleep 1000\n{SLEEP}")
    with subprocess.Popen(["start", "slow"], env=daemon.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as client:
        wait_until(lambda: "start/pre-start, process" in daemon.run("status", "slow"), "the pre-start process")
        client.send_signal(signal.SIGINT)
        assert client.communicate(timeout=LIMIT) == ("", "")
        assert client.returncode == -signal.SIGINT
    status = daemon.run("status", "slow")
    assert "start/pre-start, process" in status
    os.kill(int(status.split()[-1]), signal.SIGKILL)  # the daemon would wait for it at its end


def test_a_daemon_that_ends_while_a_client_waits_is_an_error(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", "--no-startup-event") as daemon:
        daemon.write_job("slow", f"pre-start exec sleep 1000\n{SLEEP}")
        with subprocess.Popen(["start", "slow"], env=daemon.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as client:
            wait_until(lambda: "start/pre-start, process" in daemon.run("status", "slow"), "the pre-start process")
            daemon.kill()
            out, err = client.communicate(timeout=LIMIT)
    assert (client.returncode, out) == (1, "")
    assert err.startswith("start: lost the connection to Upstart")


def test_stopping_a_job_whose_file_is_gone_succeeds(daemon: Daemon) -> None:  # design, 34
    path = daemon.write_job("web", SLEEP)
    daemon.run("start", "web")
    path.unlink()
    assert daemon.run("stop", "web") == "web stop/waiting\n"
    assert daemon.try_run("status", "web").stderr == "status: Unknown job: web\n"


def test_a_job_that_is_unknown_is_explained_in_a_terminal_only(daemon: Daemon) -> None:
    path = daemon.write_job("broken", "exec true\nkill timeout five\n")
    daemon.write_job("webserver", SLEEP)
    done = daemon.try_run("start", "broken")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "start: Unknown job: broken\n")
    code, shown = daemon.run_in_terminal("start", "broken")
    assert code == 1
    lines = shown.splitlines()
    assert lines[:3] == ["start: Unknown job: broken", f"{path} is wrong:",
                         f"  {path}:2: Illegal interval, expected number of seconds"]
    assert lines[3].startswith("    column 14, found 'five'")
    assert lines[-1].endswith(f"init-checkconf {path}")
    assert daemon.run_in_terminal("initctl", "status", "webserv")[1].splitlines() == [
        "initctl: Unknown job: webserv", f"There is no webserv.conf in {daemon.init}.", "Did you mean webserver?"]


def test_colours_show_only_in_a_terminal_that_has_them_and_where_nobody_minds(daemon: Daemon) -> None:
    daemon.write_job("web", SLEEP)
    daemon.environ["TERM"] = "xterm"
    assert "\x1b" not in daemon.run("start", "web")
    for command in (["status", "web"], ["initctl", "list"], ["initctl", "list", "--long"]):
        assert "\x1b" not in daemon.run(*command)
        assert "\x1b[32mstart/running\x1b[0m" in daemon.run_in_terminal(*command)[1]
        for variable, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
            before = daemon.environ
            daemon.environ = before | {variable: value}
            assert "\x1b" not in daemon.run_in_terminal(*command)[1]
            daemon.environ = before


def test_list_long_knows_since_when_a_job_runs(daemon: Daemon) -> None:
    daemon.write_job("web", f'description "The web"\n{SLEEP}')
    pid = daemon.run("start", "web").split()[-1]
    _, line = daemon.run("initctl", "list", "--long").splitlines()
    assert re.fullmatch(rf"web  start/running  main     {pid} +\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d  The web", line)
    [web] = json.loads(daemon.run("initctl", "list", "--long", "--json"))
    assert web["processes"][0]["pid"] == int(pid)
    assert web["description"] == "The web"
    code, shown = daemon.run_in_terminal("initctl", "status", "web", "--json")
    assert code == 0
    assert shown.count("\n") > 1  # for people on many lines
    assert json.loads(shown) == json.loads(daemon.run("initctl", "status", "web", "--json"))


def test_check_config_without_a_daemon_fails(daemon: Daemon) -> None:  # design, 22
    daemon.environ["UPSTART_SESSION"] = "unix:abstract=/upstartd/test/nobody"
    done = daemon.try_run("initctl", "check-config")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("initctl: Unable to connect to Upstart: ")


def test_dest_over_a_session_s_socket_is_ignored(daemon: Daemon) -> None:  # design, 35
    daemon.write_job("web", "")
    assert daemon.run("initctl", "--dest=com.example.Nobody", "list") == "web stop/waiting\n"


def test_a_job_s_own_process_may_ask_for_itself(daemon: Daemon) -> None:
    daemon.write_job("web", f"instance $N\npre-start exec status > {daemon.scratch}/status\n{SLEEP}")
    daemon.run("start", "web", "N=7")
    assert (daemon.scratch / "status").read_text().startswith("web (7) start/pre-start, process ")


# -- enable and disable -----------------------------------------------------------------------------------------------


def test_a_job_that_runs_is_disabled_as_soon_as_its_files_say_so(daemon: Daemon) -> None:
    daemon.write_job("web", "start on boot\nexec sleep 1000\n")
    daemon.run("start", "web")
    daemon.run("initctl", "disable", "web")
    done = daemon.try_run("initctl", "is-enabled", "web")
    assert (done.returncode, done.stdout, done.stderr) == (1, "disabled\n", "")
    daemon.run("initctl", "enable", "web")
    assert daemon.run("initctl", "is-enabled", "web") == "enabled\n"


def test_a_job_that_is_disabled_is_started_by_no_event_until_it_is_enabled_again(daemon: Daemon) -> None:
    daemon.write_job("web", f"start on boot\n{SLEEP}")
    assert daemon.run("initctl", "is-enabled", "web") == "enabled\n"
    assert daemon.run("initctl", "disable", "web") == ""
    done = daemon.try_run("initctl", "is-enabled", "web")
    assert (done.returncode, done.stdout, done.stderr) == (1, "disabled\n", "")
    assert daemon.run("initctl", "show-config", "-e", "web") == "web\n"
    daemon.run("initctl", "emit", "boot")
    assert daemon.run("status", "web") == "web stop/waiting\n"
    assert daemon.run("initctl", "disable", "-v", "web") == "nothing has to change\n"
    assert daemon.run("initctl", "enable", "-v", "web") == f"{daemon.init}/web.override has changed\n"
    assert os.listdir(daemon.init) == ["web.conf"]
    daemon.run("initctl", "emit", "boot")
    assert "start/running" in daemon.run("status", "web")
    # One that runs stays as it is.
    daemon.run("initctl", "disable", "web")
    assert "start/running" in daemon.run("status", "web")


def test_what_cannot_be_enabled_is_told_and_unknown_jobs_are_explained(daemon: Daemon) -> None:
    path = daemon.write_job("web", SLEEP)
    done = daemon.try_run("initctl", "enable", "web")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"initctl: cannot enable web: {path} has no `start on', or has `manual' below it\n"
    done = daemon.try_run("initctl", "disable", "wbe")
    assert (done.returncode, done.stderr) == (1, "initctl: Unknown job: wbe\n")


def test_without_a_daemon_the_files_count(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", "--no-startup-event", confdir=False) as daemon:
        jobs = daemon.scratch / "config" / "upstart"
        (jobs / "web.conf").write_text(f"start on boot\n{SLEEP}")
        assert daemon.run("initctl", "is-enabled", "web") == "enabled\n"
    del daemon.environ["UPSTART_SESSION"]
    daemon.run("initctl", "--user", "disable", "web")
    assert (jobs / "web.override").read_text() == "manual\n"
    assert daemon.try_run("initctl", "--user", "is-enabled", "web").stdout == "disabled\n"
    with daemon:
        assert daemon.try_run("initctl", "is-enabled", "web").stdout == "disabled\n"
