"""What real processes find themselves with: command, environment, descriptors, session, limits, user."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.daemon import Daemon
from support.supervising import PATH, Supervised
from support.waiting import wait_until
from upstartd.conf.model import Console, Expect, ProcessName, ResourceLimit
from upstartd.engine.inputs import MainReady
from upstartd.proc import apparmor

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may change users, roots and priorities")


@pytest.fixture(params=[True, False], ids=["without-fork", "with-fork"])
def supervised(request: pytest.FixtureRequest) -> Iterator[Supervised]:
    """A supervisor; what it starts must be the same by both ways."""
    with Supervised(quick=request.param) as running:
        yield running


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


# -- commands ---------------------------------------------------------------------------------------------


def arguments(path: Path) -> list[str]:
    return path.read_text().split("\0")[:-1]


def test_a_plain_command_gets_its_words_as_they_are(supervised: Supervised, out: Path) -> None:
    show = program(out.parent / "show", f"#!/bin/sh\ntr -d '\\n' < /proc/$$/cmdline > {out}\n")
    assert supervised.run(f"{show}  a,b  %c\td") == 0
    assert arguments(out) == ["/bin/sh", str(show), "a,b", "%c", "d"]


def test_a_command_with_shell_characters_replaces_the_shell(supervised: Supervised, out: Path) -> None:
    assert supervised.run(f"cat /proc/self/cmdline > {out}; exit 3") == 0
    assert arguments(out) == ["cat", "/proc/self/cmdline"]


def test_a_script_of_one_line_is_run_by_the_shell(supervised: Supervised, out: Path) -> None:
    assert supervised.run(f'cat /proc/$$/cmdline > {out}; echo "$0 $#" >> {out}; exit 3', script=True) == 3
    assert arguments(out)[:3] == ["/bin/sh", "-e", "-c"]
    assert out.read_text().endswith("/bin/sh\0/bin/sh 0\n")


def test_a_script_of_several_lines_comes_through_descriptor_9(supervised: Supervised, out: Path) -> None:
    script = f"""cat /proc/$$/cmdline > {out}
    [ -e /proc/$$/fd/9 ] || echo "no 9, $0 $# $-" >> {out}
    false
    echo "not reached" >> {out}
    """
    assert supervised.run(script, script=True) == 1
    assert out.read_text() == "/bin/sh\0-e\0/proc/self/fd/9\0no 9, /proc/self/fd/9 0 e\n"


@pytest.mark.parametrize("size", [60_000, 70_000, 1 << 20, 3 << 20])
def test_a_script_may_be_longer_than_any_pipe(supervised: Supervised, out: Path, size: int) -> None:
    line = "# " + "x" * 97 + "\n"
    script = f"echo start > {out}\n{line * (size // len(line))}echo end >> {out}\nexit 5\n"
    assert supervised.run(script, script=True) == 5
    assert out.read_text() == "start\nend\n"


def test_the_program_is_found_in_the_job_s_own_path(supervised: Supervised, out: Path) -> None:
    program(out.parent / "mine", f"#!/bin/sh\necho mine > {out}\n")
    assert supervised.run("mine") == "unable to execute: No such file or directory"
    assert supervised.run("mine", env=[f"PATH=/nonexistent:{out.parent}:/bin"]) == 0
    assert out.read_text() == "mine\n"


def test_without_a_path_the_system_s_own_directories_are_searched(supervised: Supervised) -> None:
    assert supervised.run("true", env=[]) == 0


def test_a_directory_that_may_not_be_executed_does_not_hide_a_program_further_on(
    supervised: Supervised, out: Path
) -> None:
    (out.parent / "true").write_text("not to be executed")
    (out.parent / "true").chmod(0o644)
    assert supervised.run("true", env=[f"PATH={out.parent}:/bin:/usr/bin"]) == 0
    assert supervised.run("true", env=[f"PATH={out.parent}:/nonexistent"]) == "unable to execute: Permission denied"


def test_a_text_without_an_interpreter_is_run_by_the_shell(supervised: Supervised, out: Path) -> None:
    text = program(out.parent / "text", f'echo "$1 $2" > {out}\n')
    assert supervised.run(f"{text} a b") == 0
    assert out.read_text() == "a b\n"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("/nonexistent/program --flag", "No such file or directory"),
        ("no-such-command-on-any-path", "No such file or directory"),
        ("/etc", "Permission denied"),
        ("/etc/passwd", "Permission denied"),
        ("/etc/passwd/x", "Not a directory"),
        ("/" + "x" * 300, "File name too long"),
    ],
)
def test_a_program_that_cannot_be_executed_fails_the_spawn(supervised: Supervised, command: str, reason: str) -> None:
    assert supervised.run(command) == f"unable to execute: {reason}"
    assert supervised.wait_for_line("Failed to spawn") == (
        f"Failed to spawn job1 main process: unable to execute: {reason}"
    )


def test_an_interpreter_that_is_missing_fails_the_spawn(supervised: Supervised, out: Path) -> None:
    broken = program(out.parent / "broken", "#!/nonexistent/interpreter\n")
    assert supervised.run(str(broken)) == "unable to execute: No such file or directory"


def test_a_program_missing_in_a_shell_command_is_the_shell_s_affair(supervised: Supervised) -> None:
    assert supervised.run('missing-program-of-this-test "quoted"') == 127


# -- environment ------------------------------------------------------------------------------------------


def test_the_environment_is_exactly_what_was_given(supervised: Supervised, out: Path) -> None:
    odd = b"ODD=\xff \xc3\xa9\n=".decode("utf-8", "surrogateescape")
    given = ["Z=1", PATH, "EMPTY=", odd, "=nameless", "A=x=y", "UPSTART_JOB=web"]
    assert supervised.run(f"cat /proc/$$/environ > {out}", script=True, env=given) == 0
    assert [entry.decode("utf-8", "surrogateescape") for entry in out.read_bytes().split(b"\0")[:-1]] == given


def test_nothing_of_the_daemon_s_environment_gets_through(supervised: Supervised, out: Path) -> None:
    assert supervised.run(f"cp /proc/self/environ {out}", env=[PATH]) == 0
    assert out.read_text() == PATH + "\0"


# -- descriptors, session, signals ------------------------------------------------------------------------


def test_a_process_has_its_standard_descriptors_and_no_others(supervised: Supervised) -> None:
    instance = supervised.spawn("sleep 1000")
    supervised.wait_for_input(MainReady, instance)
    place = f"/proc/{supervised.pid_of(instance)}/fd"
    # The kernel closes what is closed on exec one by one, the report among the first.
    wait_until(lambda: sorted(os.listdir(place)) == ["0", "1", "2"], "the other descriptors to be closed")
    assert [os.readlink(f"{place}/{number}") for number in range(3)] == ["/dev/null"] * 3


@pytest.mark.parametrize("script", [f"ls /proc/self/fd > {{out}}{ending}" for ending in ("", "\ntrue")])
def test_nothing_is_left_open_by_either_kind_of_script(supervised: Supervised, out: Path, script: str) -> None:
    assert supervised.run(script.format(out=out), script=True) == 0
    assert out.read_text().split() == ["0", "1", "2", "3"]  # 3 is the directory that is listed


def test_the_files_of_events_keep_their_numbers_and_nobody_else_gets_them(supervised: Supervised, out: Path) -> None:
    fd = os.open(out, os.O_WRONLY | os.O_APPEND)
    try:
        assert supervised.run("echo nine >&9; echo eight >&8", script=True, files={9: fd, 8: fd}) == 0
        assert supervised.run("one=1\necho nine >&9\nls /proc/self/fd >&9", script=True, files={9: fd}) == 0
        assert supervised.run(f"ls /proc/self/fd >> {out}", script=True) == 0
    finally:
        os.close(fd)
    assert out.read_text().split() == ["nine", "eight", "nine", "0", "1", "2", "3", "9", "0", "1", "2", "3"]


def test_a_process_leads_a_session_and_a_group_of_its_own_without_a_terminal(supervised: Supervised, out: Path) -> None:
    instance = supervised.spawn(f"cut -d' ' -f1,5,6,7 /proc/$$/stat > {out}", script=True)
    pid = supervised.pid_of(instance)
    supervised.end_of(instance)
    assert out.read_text() == f"{pid} {pid} {pid} 0\n"


@pytest.mark.parametrize("quick", [True, False])
def test_no_signal_is_ignored_or_blocked_even_if_the_daemon_was_started_so(quick: bool, out: Path) -> None:
    with Supervised(quick=quick, ignore=(signal.SIGHUP, signal.SIGCHLD, signal.SIGRTMIN, 32, 33)) as supervised:
        assert supervised.run(f"grep -E '^Sig(Blk|Ign)' /proc/self/status > {out}") == 0
    assert set(re.findall(r"\t(\w+)", out.read_text())) == {"0" * 16}


@needs_root
def test_console_output_is_the_console_or_dev_null(supervised: Supervised, out: Path) -> None:
    command = (f"in=$(readlink /proc/$$/fd/0); out=$(readlink /proc/$$/fd/1); "
               f"echo $in $out $(cut -d' ' -f7 /proc/$$/stat) > {out}")
    assert supervised.run(command, script=True, console=Console.OUTPUT) == 0
    stdin, stdout, terminal = out.read_text().split()
    assert stdin == stdout
    assert stdout in ("/dev/console", "/dev/null")
    assert terminal == "0", "the console has become the controlling terminal"


# -- settings ---------------------------------------------------------------------------------------------


def test_mask_and_directory_are_022_and_the_root_by_default(supervised: Supervised, out: Path) -> None:
    assert supervised.run(f"umask > {out}; pwd >> {out}", script=True) == 0
    assert out.read_text() == "0022\n/\n"


def test_mask_and_directory_of_the_job(supervised: Supervised, out: Path) -> None:
    assert supervised.run(f"umask > {out}; pwd >> {out}", script=True, umask=0o7, chdir=str(out.parent)) == 0
    assert out.read_text() == f"0007\n{out.parent}\n"


@pytest.mark.parametrize("quick", [True, False])
def test_in_a_user_session_mask_and_directory_are_the_daemon_s(quick: bool, out: Path) -> None:
    with Supervised(quick=quick, umask=None, directory=None) as supervised:
        assert supervised.run(f"umask > {out}; pwd >> {out}", script=True) == 0
        mask = re.search(r"Umask:\t(\d+)", Path(f"/proc/{supervised.pid}/status").read_text())
        assert mask is not None
        assert out.read_text() == f"{mask[1]}\n{os.readlink(f'/proc/{supervised.pid}/cwd')}\n"


def test_starting_processes_changes_nothing_in_the_daemon(supervised: Supervised) -> None:
    def own() -> tuple[str, list[str]]:
        status = Path(f"/proc/{supervised.pid}/status").read_text()
        kept = "\n".join(line for line in status.splitlines() if line.startswith(("Umask", "SigBlk", "SigIgn")))
        return kept + os.readlink(f"/proc/{supervised.pid}/cwd"), sorted(os.listdir(f"/proc/{supervised.pid}/fd"))

    supervised.run("true")  # opens /dev/null for good
    before = own()
    supervised.run("one=1\ntrue", script=True, umask=0o777)
    supervised.run("true", nice=1, umask=0o777, expect=Expect.DAEMON)
    supervised.run("/nonexistent")
    assert own() == before


@pytest.mark.parametrize("path", ["", "/nonexistent/directory"])
def test_a_missing_directory_fails_the_spawn(supervised: Supervised, path: str) -> None:
    assert supervised.run("true", chdir=path) == "unable to change working directory: No such file or directory"


def test_limits_are_set(supervised: Supervised, out: Path) -> None:
    limits = (ResourceLimit("nofile", 64, 128), ResourceLimit("core", 0, 0), ResourceLimit("fsize", 1 << 20, None))
    script = f"(ulimit -Sn; ulimit -Hn; ulimit -Sc) > {out}; grep 'Max file size' /proc/self/limits >> {out}"
    assert supervised.run(script, script=True, limits=limits) == 0
    assert out.read_text().split() == ["64", "128", "0", "Max", "file", "size", "1048576", "unlimited", "bytes"]


def test_a_process_may_have_less_memory_than_the_daemon(supervised: Supervised) -> None:
    limits = (ResourceLimit("as", 12 << 20, 12 << 20), ResourceLimit("data", 4 << 20, 4 << 20))
    assert supervised.run("true", limits=limits) == 0


@pytest.mark.parametrize("limit", [ResourceLimit("nofile", 200, 100), ResourceLimit("core", 1 << 70, None)])
def test_a_limit_that_makes_no_sense_fails_the_spawn(supervised: Supervised, limit: ResourceLimit) -> None:
    assert supervised.run("true", limits=(limit,)) == f'unable to set "{limit.name}" resource limit: Invalid argument'


@pytest.mark.parametrize(
    "name",
    ["as", "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
     "sigpending", "stack"],
)  # fmt: skip
def test_every_limit_that_a_job_can_name_is_one_of_the_system_s(supervised: Supervised, name: str) -> None:
    soft, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
    limit = ResourceLimit(name, None if soft < 0 else soft, None if hard < 0 else hard)
    assert supervised.run("true", limits=(limit,)) == 0


@needs_root
def test_nice_and_oom_score_are_set(supervised: Supervised, out: Path) -> None:
    script = f"nice > {out}; cat /proc/self/oom_score_adj >> {out}"
    assert supervised.run(script, script=True, nice=-3, oom_score=250) == 0
    assert out.read_text() == "-3\n250\n"


def test_only_root_may_raise_priorities(supervised: Supervised, out: Path) -> None:
    reason = supervised.run("true", nice=-20)
    assert reason == (0 if os.geteuid() == 0 else "unable to set priority: Permission denied")


@needs_root
def test_a_process_runs_in_its_own_root(supervised: Supervised, out: Path) -> None:
    jail = out.parent / "jail"
    found = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True).stdout
    for path in ("/bin/sh", *re.findall(r"(/\S+) \(", found)):
        (jail / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, jail / path[1:])
    (jail / "inside").mkdir()
    assert supervised.run("pwd > where", script=True, chroot=str(jail), chdir="/inside") == 0
    assert (jail / "inside" / "where").read_text() == "/inside\n"
    assert supervised.run("cat", chroot=str(jail)) == "unable to execute: No such file or directory"


def test_a_missing_root_fails_the_spawn(supervised: Supervised) -> None:
    reason = supervised.run("true", chroot="/nonexistent")
    assert reason == "unable to change root directory: No such file or directory"


# -- users ------------------------------------------------------------------------------------------------

WHO = "id -un > {out}; id -gn >> {out}; id -Gn >> {out}"


@needs_root
@pytest.mark.parametrize("ending", ["", "\ntrue"])
def test_setuid_takes_the_user_s_own_groups_and_none_of_root_s(supervised: Supervised, out: Path, ending: str) -> None:
    assert supervised.run(WHO.format(out=out) + ending, script=True, setuid="daemon") == 0
    assert out.read_text() == "daemon\ndaemon\ndaemon\n"


@needs_root
def test_setgid_alone_keeps_the_user(supervised: Supervised, out: Path) -> None:
    assert supervised.run(WHO.format(out=out), script=True, setgid="daemon") == 0
    assert out.read_text().split()[:2] == ["root", "daemon"]


@needs_root
def test_setuid_and_setgid_together(supervised: Supervised, out: Path) -> None:
    assert supervised.run(WHO.format(out=out), script=True, setuid="nobody", setgid="daemon") == 0
    assert out.read_text() == "nobody\ndaemon\ndaemon\n"


@needs_root
def test_a_user_who_may_not_enter_the_directory_finds_itself_there_all_the_same(
    supervised: Supervised, out: Path
) -> None:
    # The directory is changed before the user is.
    locked = out.parent / "locked"
    locked.mkdir(mode=0o700)
    assert supervised.run("true", setuid="nobody", chdir=str(locked)) == 0


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"setuid": "no-such-user-here"}, "unable to find setuid user"),
     ({"setgid": "no-such-group-here"}, "unable to find setgid group"),
     ({"setuid": "no-such-user-here", "chdir": "/nonexistent"},
      "unable to change working directory: No such file or directory")],
)  # fmt: skip
def test_an_unknown_user_or_group_fails_the_spawn(supervised: Supervised, settings: Any, reason: str) -> None:
    assert supervised.run("true", **settings) == reason


@needs_root
@pytest.mark.parametrize(("settings", "reason"), [
    ({"setuid": "root"}, "unable to getpwnam"), ({"setgid": "root"}, "unable to getgrnam"),
    ({"setuid": "root", "setgid": "root"}, "unable to getpwnam"),
])
def test_a_root_without_the_databases_is_told_as_what_it_is(
    supervised: Supervised, out: Path, settings: Any, reason: str
) -> None:
    assert supervised.run("true", chroot=str(out.parent), **settings) == f"{reason}: No such file or directory"


@needs_root
def test_databases_that_cannot_be_opened_for_the_job_s_own_limit_are_told(supervised: Supervised) -> None:
    limits = (ResourceLimit("nofile", 3, 3),)
    assert supervised.run("true", setuid="root", limits=limits) == "unable to getpwnam: Too many open files"


def test_a_job_file_s_names_are_found_under_a_locale_that_cannot_write_them(tmp_path: Path) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with Daemon(tmp_path, "--user", environ=ascii_only) as daemon:
        directory = tmp_path / "\xf6"
        directory.mkdir()
        daemon.write_job("away", f"task\nchdir {directory}\nexec touch here\n")
        assert daemon.run("start", "away") == "away stop/waiting\n"
        assert (directory / "here").exists(), daemon.log()


@needs_root
def test_the_security_process_is_root_s_whatever_the_settings_are(supervised: Supervised, out: Path) -> None:
    settings = {"setuid": "nobody", "chdir": "/nonexistent", "nice": 3}
    assert supervised.run(WHO.format(out=out), script=True, process=ProcessName.SECURITY, **settings) == 0
    assert out.read_text().split()[0] == "root"


# -- AppArmor ---------------------------------------------------------------------------------------------


def test_a_profile_that_there_is_not_fails_the_spawn(out: Path) -> None:
    with Supervised(apparmor=True) as supervised:
        reason = supervised.run(f"cp /etc/hostname {out}", apparmor_switch="no-such-profile-${NONE:-here}")
        assert str(reason).startswith("unable to switch security profile: ")
        assert out.read_text() == ""


@pytest.mark.skipif(apparmor.is_in_use(), reason="AppArmor is in use here, so the profiles would have to exist")
def test_where_apparmor_is_not_in_use_its_stanzas_mean_nothing(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user") as daemon:
        daemon.write_job("web", "apparmor load /no/such/profile\napparmor switch $NOBODY\nexec sleep 1000\n")
        assert daemon.run("start", "web").startswith("web start/running, process ")


# -- debug ------------------------------------------------------------------------------------------------


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_the_debug_stanza_stops_the_process_before_its_program_in_a_daemon_that_debugs(out: Path) -> None:
    with Supervised(debug=True) as supervised:
        instance = supervised.spawn(f"cat /proc/self/cmdline > {out}", debug=True)
        supervised.wait_for_input(MainReady, instance)
        supervised.wait_for_line("stopped by STOP signal")
        pid = supervised.pid_of(instance)
        assert state(pid) == "T"
        assert out.read_text() == ""
        os.kill(pid, signal.SIGCONT)
        supervised.end_of(instance)
        assert out.read_text() != ""


def test_the_debug_stanza_is_for_daemons_that_debug_alone(supervised: Supervised) -> None:
    assert supervised.run("true", debug=True) == 0


# -- resources --------------------------------------------------------------------------------------------


def test_a_shortage_of_descriptors_is_waited_out(supervised: Supervised) -> None:
    supervised.run("true")
    supervised.grant_descriptors(False)
    supervised.wait_for_line("no descriptors")
    instance = supervised.spawn("one=1\nexit 3", script=True)
    assert supervised.wait_for_line("Temporary") == "Temporary process spawn error: Too many open files"
    supervised.grant_descriptors(True)
    assert supervised.end_of(instance).status == 3


def test_a_shortage_that_stays_fails_the_spawn_and_nothing_else() -> None:
    with Supervised() as supervised:
        running = supervised.spawn("sleep 1000")
        supervised.wait_for_input(MainReady, running)
        supervised.grant_descriptors(False)
        assert supervised.run("one=1\nexit 3", script=True) == "unable to create pipe: Too many open files"
        supervised.grant_descriptors(True)
        supervised.kill(running)
        supervised.end_of(running)


def test_200_processes_at_once(supervised: Supervised) -> None:
    instances = [supervised.spawn("sleep 1000" if number % 2 else "exit 7", script=True) for number in range(200)]
    for instance in instances[1::2]:
        supervised.wait_for_input(MainReady, instance)
        supervised.kill(instance)
    ends = [supervised.end_of(instance) for instance in instances]
    assert {end.status for end in ends[::2]} == {7}
    assert {end.signal for end in ends[1::2]} == {signal.SIGTERM}
    pids = {supervised.pid_of(instance) for instance in instances}
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "a zombie is left"
    for instance in instances:
        kinds = [type(one).__name__ for one in supervised.told(instance)]
        assert kinds == ["ProcessForked", "MainReady", "ProcessEnded"]
