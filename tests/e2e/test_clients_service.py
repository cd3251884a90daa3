"""service(8), with real daemons and init scripts (clients specification, section 5)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from support.daemon import PROGRAMS, Daemon
from support.dbus_daemon import DBusDaemon
from support.namespaces import network_namespace
from support.terminal import run_in_terminal
from support.waiting import LIMIT, wait_until
from upstartd_clients.service import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLEEP = "exec sleep 1000\n"
STOPPED = "web stop/waiting\n"

# service(8) with other init scripts than those of this machine: argv is the directory, then the command line.
WITH_SCRIPTS = """
import os, sys
from upstartd import places
from upstartd_clients import connect, service
from upstartd_clients.output import run_program
if "{private}":
    connect.PRIVATE_ADDRESS = "{private}"
places.SYSTEM_JOBS = "{jobs}"
argv = ["service", *sys.argv[2:]]
sys.exit(run_program(argv, lambda words, output: service.run(words, os.environ, output, sys.argv[1])))
"""
NOBODY = "unix:abstract=/upstartd/test/nobody"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, "--user", "--no-startup-event") as running:
        yield running


def service(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    return daemon.try_run("service", "--user", *words)


def outcome(daemon: Daemon, *words: str) -> tuple[int, str, str]:
    done = service(daemon, *words)
    return done.returncode, done.stdout, done.stderr


def process_of(daemon: Daemon, *words: str) -> int:
    """The main process that a status names."""
    text = daemon.run("status", *words)
    assert "start/running, process " in text
    return int(text.split()[-1])


def end_process(daemon: Daemon, *words: str) -> None:
    """Kill the process that a status names, for which the daemon would wait at its end."""
    os.kill(int(daemon.run("status", *words).split()[-1]), signal.SIGKILL)


# -- a job ------------------------------------------------------------------------------------------------------------


def test_start_stop_and_status_print_what_the_links_do_with_the_codes_of_lsb(daemon: Daemon) -> None:
    daemon.write_job("web", SLEEP)
    assert outcome(daemon, "web", "status") == (3, STOPPED, "")
    code, out, err = outcome(daemon, "web", "start")
    assert (code, err) == (0, "")
    assert out == daemon.run("status", "web")
    assert outcome(daemon, "web", "status") == (0, out, "")
    assert outcome(daemon, "web", "start") == (1, "", "start: Job is already running: web\n")
    assert outcome(daemon, "web", "stop") == (0, STOPPED, "")
    assert outcome(daemon, "web", "stop") == (1, "", "stop: Unknown instance: \n")
    assert outcome(daemon, "web", "force-start")[0] == 0
    assert outcome(daemon, "web", "force-stop") == (0, STOPPED, "")


def test_an_instance_is_named_by_its_variables(daemon: Daemon) -> None:
    daemon.write_job("tty", f"instance $TTY\n{SLEEP}")
    assert outcome(daemon, "tty", "status") == (4, "", "status: Unknown parameter: TTY\n")
    assert outcome(daemon, "tty", "status", "TTY=1") == (3, "", "status: Unknown instance: 1\n")
    assert outcome(daemon, "tty", "start", "TTY=1")[0] == 0
    assert outcome(daemon, "tty", "status", "TTY=1")[0] == 0
    first = process_of(daemon, "tty", "TTY=1")
    assert outcome(daemon, "tty", "try-restart", "TTY=2") == (0, "", "")
    assert outcome(daemon, "tty", "restart", "TTY=1")[0] == 0
    assert process_of(daemon, "tty", "TTY=1") != first
    assert outcome(daemon, "tty", "stop", "TTY=1") == (0, "tty stop/waiting\n", "")


@pytest.mark.parametrize("action", ["restart", "--full-restart"])
def test_restart_takes_a_changed_file_and_works_for_what_does_not_run(daemon: Daemon, action: str) -> None:
    daemon.write_job("web", f"env SIZE=small\npre-start exec echo $SIZE > {daemon.scratch}/size\n{SLEEP}")
    code, out, err = outcome(daemon, "web", action)
    assert (code, err) == (0, "stop: Unknown instance: \n")
    assert out == daemon.run("status", "web")
    daemon.write_job("web", f"env SIZE=big\npre-start exec echo $SIZE > {daemon.scratch}/size\n{SLEEP}")
    first = process_of(daemon, "web")
    code, out, err = outcome(daemon, "web", action)
    assert (code, err) == (0, "")
    assert out == STOPPED + daemon.run("status", "web")
    assert process_of(daemon, "web") != first
    assert (daemon.scratch / "size").read_text() == "big\n"


def test_the_exit_code_of_restart_is_that_of_the_start(daemon: Daemon) -> None:
    daemon.write_job("web", SLEEP)
    daemon.run("start", "web")
    daemon.write_job("web", f"pre-start exec false\n{SLEEP}")
    assert outcome(daemon, "web", "restart") == (1, STOPPED, "start: Job failed to start\n")


@pytest.mark.parametrize("action", ["try-restart", "condrestart"])
def test_a_conditional_restart_leaves_alone_what_does_not_run(daemon: Daemon, action: str) -> None:
    daemon.write_job("web", SLEEP)
    assert outcome(daemon, "web", action) == (0, "", "")
    assert daemon.run("status", "web") == STOPPED
    daemon.run("start", "web")
    first = process_of(daemon, "web")
    assert outcome(daemon, "web", action)[0] == 0
    assert process_of(daemon, "web") != first


def wait_until_it_says(path: Path, text: str) -> None:
    wait_until(lambda: path.exists() and path.read_text() == text, f"{text!r} in {path}")


def test_reload_signals_what_runs(daemon: Daemon) -> None:
    mark = daemon.scratch / "hups"
    daemon.write_job("web", f'script\n trap "echo >> {mark}" HUP\n echo >> {mark}\n'
                            " while :; do sleep 0.05; done\nend script\n")
    daemon.run("start", "web")
    pid = process_of(daemon, "web")
    marks = "\n"  # the first when the trap is set, and one more for each signal
    for action in ("reload", "force-reload"):
        wait_until_it_says(mark, marks)
        assert outcome(daemon, "web", action) == (0, "", "")
        marks += "\n"
    wait_until_it_says(mark, marks)
    assert process_of(daemon, "web") == pid


def test_force_reload_restarts_what_cannot_be_reloaded(daemon: Daemon) -> None:
    daemon.write_job("web", SLEEP)
    assert outcome(daemon, "web", "reload") == (1, "", "reload: Unknown instance: \n")
    assert outcome(daemon, "web", "force-reload")[0] == 0
    assert process_of(daemon, "web")
    daemon.write_job("idle", "post-start exec sleep 1000\n")  # it runs, but has no main process
    daemon.run("start", "-n", "idle")
    wait_until(lambda: "process" in daemon.run("status", "idle"), "the process")
    done = subprocess.Popen(["service", "--user", "idle", "force-reload"], env=daemon.environ, cwd=daemon.scratch,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # The restart waits for a post-start that never ends. The error of the reload tells that it has come to that.
    assert done.stderr is not None
    assert done.stderr.readline() == "reload: Job is not running: idle\n"
    done.send_signal(signal.SIGINT)
    assert done.wait(LIMIT) == -signal.SIGINT
    done.communicate()
    end_process(daemon, "idle")


def test_an_action_that_a_job_has_not_is_unimplemented(daemon: Daemon) -> None:
    daemon.write_job("web", SLEEP)
    actions = ", ".join(ACTIONS)
    for action in ("frob", "Start"):
        assert outcome(daemon, "web", action) == (
            3, "", f"service: web is a job, and has no action `{action}': use one of {actions}\n")
    for words in (["web"], ["web", ""]):
        assert outcome(daemon, *words) == (
            3, "", f"service: web is a job, and an action is missing: use one of {actions}\n")


def test_status_heeds_its_options(daemon: Daemon) -> None:
    daemon.write_job("web", SLEEP)
    assert outcome(daemon, "web", "status", "-q") == (3, "", "")
    assert outcome(daemon, "web", "status", "-q", "-v") == (3, STOPPED, "")
    code, out, err = outcome(daemon, "web", "status", "--json")
    assert (code, json.loads(out)["state"], err) == (3, "waiting", "")
    for asked in ("--help", "--version"):
        assert outcome(daemon, "web", "status", asked) == (0, daemon.run("status", asked), "")
    assert outcome(daemon, "web", "status", "--frob")[:2] == (1, "")


def test_a_name_that_nothing_has_is_unrecognized(daemon: Daemon) -> None:
    daemon.write_job("web", SLEEP)
    for name in ("wbe", "web/", "../web", "", "\udcff"):
        done = subprocess.run(["service", "--user", name, "start"], env=daemon.environ, stdin=subprocess.DEVNULL,
                              capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (1, b"")
        if name != "\udcff":
            assert done.stderr.decode() == f"{name}: unrecognized service\n"
    code, shown = run_in_terminal(["service", "--user", "wbe", "start"], daemon.environ)
    assert code == 1
    assert shown.splitlines()[0] == "wbe: unrecognized service"
    assert "Did you mean web?" in shown


def test_a_job_whose_file_is_gone_can_still_be_stopped(daemon: Daemon) -> None:
    path = daemon.write_job("web", SLEEP)
    daemon.run("start", "web")
    path.unlink()
    daemon.run("initctl", "reload-configuration")
    assert outcome(daemon, "web", "stop") == (0, STOPPED, "")
    assert outcome(daemon, "web", "status") == (1, "", "web: unrecognized service\n")


def test_status_all_of_a_user_lists_the_jobs(daemon: Daemon) -> None:
    for name in ("web", "db", "tty"):
        daemon.write_job(name, f"instance $N\n{SLEEP}")
    daemon.run("start", "web", "N=1")
    daemon.run("start", "tty", "N=1")
    daemon.run("start", "tty", "N=2")
    daemon.run("stop", "tty", "N=1")
    assert outcome(daemon, "--status-all") == (0, " [ - ]  db\n [ + ]  tty\n [ + ]  web\n", "")


# -- whose daemon -----------------------------------------------------------------------------------------------------


def test_without_upstart_session_the_only_session_is_asked(daemon: Daemon) -> None:
    daemon.write_job("web", SLEEP)
    address = daemon.environ.pop("UPSTART_SESSION")
    assert outcome(daemon, "web", "status") == (3, STOPPED, "")
    sessions = daemon.scratch / "run" / "upstart" / "sessions"
    (sessions / "1.session").write_text("UPSTART_SESSION=unix:abstract=/other\n")
    code, out, err = outcome(daemon, "web", "status")
    assert (code, out) == (1, "")
    assert err == ("service: cannot choose your daemon: UPSTART_SESSION is not set, and several run: "
                   f"unix:abstract=/other, {address}\n")
    daemon.environ["UPSTART_SESSION"] = address
    assert outcome(daemon, "web", "status") == (3, STOPPED, "")


@pytest.mark.parametrize("environ", [{}, {"XDG_RUNTIME_DIR": ""}, {"XDG_RUNTIME_DIR": "/nonexistent"}])
def test_without_any_session_there_is_nobody_to_ask(environ: dict[str, str]) -> None:
    done = subprocess.run([PROGRAMS / "service", "--user", "web", "start"], env=environ, capture_output=True,
                          stdin=subprocess.DEVNULL, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "service: cannot find your daemon: UPSTART_SESSION is not set, and no session is known\n"


def test_a_session_that_has_ended_is_an_error() -> None:
    done = subprocess.run([PROGRAMS / "service", "--user", "web", "start"], env={"UPSTART_SESSION": NOBODY},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("service: Unable to connect to Upstart: ")


def test_without_user_the_session_is_never_asked(daemon: Daemon) -> None:
    daemon.write_job("web", SLEEP)
    with ExitStack() as stack:
        if os.geteuid() == 0:  # else it is the system bus that is asked, and there is none
            stack.enter_context(network_namespace())
        done = subprocess.run([PROGRAMS / "service", "web", "start"], env=daemon.environ | {"PATH": "/nonexistent"},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "web: unrecognized service\n")
    assert daemon.run("status", "web") == STOPPED


def test_the_system_s_daemon_is_asked_over_its_socket_and_its_jobs_come_before_scripts(tmp_path: Path) -> None:
    scripts = make_scripts(tmp_path, web="echo script $1", other="echo script $1")
    with network_namespace(), Daemon(tmp_path, "--no-startup-event") as daemon:
        daemon.write_job("web", SLEEP)
        assert daemon.try_run("service", "web", "status").returncode == 3

        environ = daemon.environ | {"UPSTART_SESSION": NOBODY}

        def run(*words: str) -> str:
            return with_scripts(scripts, *words, environ=environ, private="").stdout

        assert run("web", "start").startswith("web start/running")
        assert run("other", "start") == "script start\n"
        assert run("web", "frob") == "script frob\n"  # an action that only the script has
        assert run("--status-all") == " [ + ]  web\n"  # the other has no status action


def test_root_finds_a_daemon_that_is_on_the_system_bus_only(tmp_path: Path) -> None:
    with network_namespace(), DBusDaemon(tmp_path) as bus, Daemon(tmp_path, "--session", bus=bus) as daemon:
        daemon.write_job("web", SLEEP)
        environ = daemon.environ | {"DBUS_SYSTEM_BUS_ADDRESS": bus.address}
        for command in (["service", "web", "start"], ["status", "web"], ["initctl", "list"]):
            done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  check=False)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith("web start/running, process ")


# -- init scripts -----------------------------------------------------------------------------------------------------


def make_scripts(tmp_path: Path, **bodies: str) -> Path:
    """A directory of init scripts."""
    directory = tmp_path / "init.d"
    directory.mkdir()
    for name, body in bodies.items():
        (directory / name).write_text(f"#!/bin/sh\n{body}\n")
        (directory / name).chmod(0o755)
    return directory


def with_scripts(scripts: Path, *words: str, environ: dict[str, str] | None = None, private: str = NOBODY,
                 jobs: str = "/nonexistent") -> subprocess.CompletedProcess[str]:
    """service(8) with these init scripts, and these job files. `private` takes the place of the system's private
    socket, unless empty. No other service(8) is on PATH."""
    base = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus", "PATH": "/nonexistent"}
    return subprocess.run([sys.executable, "-c", WITH_SCRIPTS.format(private=private, jobs=jobs), scripts, *words],
                          env=base | (environ or {}), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, timeout=LIMIT)


def test_a_script_takes_over_with_a_small_environment_and_its_exit_code(tmp_path: Path) -> None:
    scripts = make_scripts(tmp_path, web='echo "$0 $@"; pwd; env | grep -Ev "^(_|PWD)=" | sort; echo oops >&2; exit 7')
    environ = {"LANG": "C.UTF-8", "TERM": "dumb", "PATH": "/bin:/usr/bin", "HOME": "/root", "UPSTART_SESSION": NOBODY}
    done = with_scripts(scripts, "web", "frob", "a b", "--x", environ=environ)
    assert (done.returncode, done.stderr) == (7, "oops\n")
    assert done.stdout.splitlines() == [
        f"{scripts}/web frob a b --x", "/", "LANG=C.UTF-8", "PATH=/bin:/usr/bin", "TERM=dumb"]
    assert with_scripts(scripts, "web").stdout.splitlines()[0] == f"{scripts}/web "


def test_a_script_that_says_not_what_runs_it_is_run_by_the_shell(tmp_path: Path) -> None:
    scripts = make_scripts(tmp_path, web="")
    (scripts / "web").write_text("echo by shell $1\n")
    assert with_scripts(scripts, "web", "start").stdout == "by shell start\n"
    (scripts / "web").write_text("#!/nonexistent/interpreter\n")
    done = with_scripts(scripts, "web", "start")
    assert (done.returncode, done.stderr) == (1, f"service: cannot run {scripts}/web: No such file or directory\n")


def test_full_restart_of_a_script_stops_and_starts_it(tmp_path: Path) -> None:
    scripts = make_scripts(tmp_path, web="echo $1; [ $1 = start ]")
    done = with_scripts(scripts, "web", "--full-restart")
    assert (done.returncode, done.stdout) == (0, "stop\nstart\n")


@pytest.mark.parametrize("name", ["none", "notes", "../init.d/web", "sub", ""])
def test_what_is_no_executable_file_there_is_unrecognized(tmp_path: Path, name: str) -> None:
    scripts = make_scripts(tmp_path, web="echo no")
    (scripts / "notes").write_text("#!/bin/sh\necho no\n")
    (scripts / "sub").mkdir()
    done = with_scripts(scripts, name, "start")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{name}: unrecognized service\n")


def test_status_all_asks_each_script_that_can_be_asked(tmp_path: Path) -> None:
    scripts = make_scripts(
        tmp_path, up='case $1 in start|stop) ;; status) echo fine;; esac',
        down='case "$1" in\n  status) exit 3;;\nesac',
        listed='case $1 in start|status|stop) [ $1 = status ];; esac', quoted='case $1 in "status") exit 0;; esac',
        mute='case $1 in start) ;; esac # has no status', rc="case $1 in status) exit 0;; esac")
    for name in ("README", "skeleton", "rcS", "single", "reboot", "halt", "killall", "functions", "up.dpkg-old"):
        (scripts / name).write_bytes((scripts / "up").read_bytes())
        (scripts / name).chmod(0o755)
    (scripts / "plain").write_text("status)")
    (scripts / "sub").mkdir()
    done = with_scripts(scripts, "--status-all")
    assert (done.returncode, done.stderr) == (0, " [ ? ]  mute\n")
    assert done.stdout.splitlines() == [" [ - ]  down", " [ + ]  listed", " [ + ]  quoted", " [ + ]  up"]


def test_status_all_without_scripts_and_daemon_shows_nothing(tmp_path: Path) -> None:
    done = with_scripts(tmp_path / "none", "--status-all")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- another init's services ------------------------------------------------------------------------------------------


def make_other(tmp_path: Path) -> dict[str, str]:
    """An environment with another service(8) on PATH, behind several that are none."""
    other = tmp_path / "usr" / "service"
    other.parent.mkdir()
    other.write_text('#!/bin/sh\necho "$0 $# $@"\nexit 5\n')
    other.chmod(0o755)
    (tmp_path / "directory" / "service").mkdir(parents=True)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "service").write_text("")
    return {"PATH": f".::relative:{tmp_path}/none:{tmp_path}/directory:{tmp_path}/plain:{tmp_path}/usr:/usr/bin:/bin"}


def test_a_name_that_is_neither_job_nor_script_is_handed_on_to_the_next_service_on_path(tmp_path: Path) -> None:
    scripts, environ = make_scripts(tmp_path, web="echo script"), make_other(tmp_path)
    done = with_scripts(scripts, "db", "restart", "a b", "--x", environ=environ)
    assert (done.returncode, done.stdout, done.stderr) == (5, f"{tmp_path}/usr/service 4 db restart a b --x\n", "")
    assert with_scripts(scripts, "web", "start", environ=environ).stdout == "script\n"


def test_a_name_with_a_job_file_is_not_handed_on(tmp_path: Path) -> None:
    (tmp_path / "db.conf").write_text("frob\n")
    done = with_scripts(tmp_path, "db", "start", environ=make_other(tmp_path), jobs=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "db: unrecognized service\n")


def test_what_is_meant_for_a_user_s_daemon_is_not_handed_on(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", "--no-startup-event") as daemon:
        environ = make_other(tmp_path) | {"UPSTART_SESSION": daemon.environ["UPSTART_SESSION"]}
        done = with_scripts(tmp_path, "--user", "db", "start", environ=environ)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "db: unrecognized service\n")


@pytest.mark.parametrize("other", [True, False])
def test_no_name_is_handed_on_to_a_service_that_has_had_it(tmp_path: Path, other: bool) -> None:
    environ = make_other(tmp_path) | {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus"}
    for directory in ("link", "copy", "opt", "again"):
        (tmp_path / directory).mkdir()
    (tmp_path / "link" / "service").symlink_to(PROGRAMS / "service")
    (tmp_path / "again" / "service").symlink_to(PROGRAMS / "service")
    shutil.copy(PROGRAMS / "service", tmp_path / "opt")  # as another installation has it
    (tmp_path / "copy" / "service").symlink_to(tmp_path / "opt" / "service")
    if not other:
        (tmp_path / "usr" / "service").unlink()
    environ["PATH"] = f"{tmp_path}/link:{tmp_path}/copy:{tmp_path}/again:{tmp_path}/usr"
    with ExitStack() as stack:
        if os.geteuid() == 0:  # so that no daemon of this machine is asked
            stack.enter_context(network_namespace())
        done = subprocess.run([tmp_path / "link" / "service", "no-such-service", "start"], env=environ,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=LIMIT)
    said = (done.returncode, done.stdout, done.stderr)
    assert said == ((5, f"{tmp_path}/usr/service 2 no-such-service start\n", "") if other
                    else (1, "", "no-such-service: unrecognized service\n"))


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "code", "begin"), [
    ([], 1, "Usage: service "), (["--user"], 1, "Usage: service "), (["--help"], 0, "Usage: service "),
    (["-h"], 0, "Usage: service "), (["web", "--help"], 0, "Usage: service "), (["web", "-h"], 0, "Usage: service "),
    (["--version"], 0, "service (upstart 1.13.2)\n"), (["-V"], 0, "service (upstart 1.13.2)\n"),
    (["--frob", "web"], 1, "service: invalid option: --frob\nTry `service --help' for more information.\n"),
])
def test_usage_help_and_version_go_where_errors_go(words: list[str], code: int, begin: str) -> None:
    done = subprocess.run([PROGRAMS / "service", *words], env={}, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(begin)
