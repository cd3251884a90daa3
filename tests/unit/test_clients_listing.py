"""`list --long`, processes as /proc tells of them, and colours."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from support.scripted_upstart import GONE, JOBS, Answers, Called, Reply, ScriptedUpstart, instance, run_initctl
from upstartd_clients import processes, render
from upstartd_clients.interface import Status
from upstartd_clients.listing import Listing

if TYPE_CHECKING:
    from pathlib import Path



@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc in which processes 42 and 43 began 3600 and 60 seconds after the machine."""
    for pid, seconds in ((42, 3600), (43, 60)):
        (tmp_path / str(pid)).mkdir()
        fields = ["S", "1", *["0"] * 17, str(seconds * os.sysconf("SC_CLK_TCK")), "0", "0"]
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a) b ( 7) {' '.join(fields)}\n")
    return tmp_path


def since(seconds: int) -> datetime:
    """The time that many seconds after the machine has begun, to a second or so."""
    return datetime.fromtimestamp(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + seconds).astimezone()


def test_the_columns_are_aligned_and_further_processes_have_lines_of_their_own(proc: Path) -> None:
    listing = Listing([("getty", Status("getty", "tty1", "start", "post-start", [("main", 42), ("post-start", 43)])),
                       ("web", None), ("long-name", Status("long-name", "", "start", "running", []))],
                      {"getty": "A terminal\nto log in", "long-name": "Something"}, str(proc))
    head, *lines = listing.lines()
    assert head.split() == ["JOB", "STATE", "PROCESS", "PID", "SINCE", "DESCRIPTION"]
    columns = [head.index(word) for word in head.split()]
    cells = [[line[begin:end].rstrip() for begin, end in zip(columns, [*columns[1:], None], strict=True)]
             for line in lines]
    dates = [row.pop(4) for row in cells]
    assert cells == [
        ["getty (tty1)", "start/post-start", "main", "42", "A terminal to log in"],
        ["", "", "post-start", "43", ""],
        ["web", "stop/waiting", "", "", ""],
        ["long-name", "start/running", "", "", "Something"]]
    for text, seconds in zip(dates, (3600, 60), strict=False):
        assert abs(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").astimezone() - since(seconds)).total_seconds() < 5
    assert dates[2:] == ["", ""]
    assert not any(line.endswith(" ") for line in (head, *lines))


def test_as_data_it_has_the_description_and_since_when_each_process_exists(proc: Path) -> None:
    running = Status("web", "", "start", "running", [("main", 42), ("post-start", 99)])
    listing = Listing([("web", running), ("db", None)], {"web": "The web"}, str(proc))
    web, db = listing.data()
    began = web["processes"][0].pop("since")
    assert abs(datetime.fromisoformat(began) - since(3600)).total_seconds() < 5
    assert web == {"job": "web", "instance": "", "goal": "start", "state": "running", "description": "The web",
                   "processes": [{"name": "main", "pid": 42}, {"name": "post-start", "pid": 99, "since": None}]}
    assert db == {"job": "db", "instance": None, "goal": "stop", "state": "waiting", "processes": [], "description": ""}


def test_a_real_process_began_when_it_was_started() -> None:
    before = time.time()
    with subprocess.Popen(["sleep", "1000"]) as process:
        began = processes.began(process.pid)
        process.kill()
    assert began is not None
    assert abs(began - before) < 60
    assert processes.began(2**22 + 1) is None


@pytest.mark.parametrize("option", ["--long", "-l"])
def test_the_daemon_is_asked_for_descriptions_and_jobs_that_have_gone_have_none(option: str) -> None:
    def description(call: Called) -> Reply:
        assert call.arguments == ("com.ubuntu.Upstart0_6.Job", "description")
        return Reply("v", (("s", "The web"),)) if call.path == f"{JOBS}/web" else GONE  # type: ignore[return-value]

    answers: Answers = {
        "GetAllJobs": Reply("ao", ([f"{JOBS}/web", f"{JOBS}/db"],)), "Get": description,
        "GetAllInstances": lambda call: Reply("ao", ([f"{call.path}/_"] if call.path == f"{JOBS}/web" else [],)),
        "GetAll": instance("", "start", "running", ("main", 2**22 + 1))}
    with ScriptedUpstart(answers) as daemon:
        ran = run_initctl("initctl", "list", option, environ=daemon.environ())
        data = run_initctl("initctl", "list", option, "--json", environ=daemon.environ())
    assert (ran.code, ran.err) == (0, "")
    head, db, web = ran.out.splitlines()
    assert head.split() == ["JOB", "STATE", "PROCESS", "PID", "SINCE", "DESCRIPTION"]
    assert db.split() == ["db", "stop/waiting"]
    assert web.split() == ["web", "start/running", "main", str(2**22 + 1), "The", "web"]
    assert [one["description"] for one in json.loads(data.out)] == ["", "The web"]


def test_no_jobs_are_a_head_and_no_lines() -> None:
    with ScriptedUpstart({"GetAllJobs": Reply("ao", ([],))}) as daemon:
        assert run_initctl("initctl", "list", "-l", environ=daemon.environ()).out.splitlines() == [
            "JOB  STATE  PROCESS  PID  SINCE  DESCRIPTION"]


# -- colours ----------------------------------------------------------------------------------------------------------


def tint(text: str, colour: str) -> str:
    return f"<{colour}:{text}>" if colour else text


@pytest.mark.parametrize(("goal", "state", "shown"), [
    ("start", "running", "<32:start/running>"), ("stop", "waiting", "stop/waiting"),
    ("start", "pre-start", "<33:start/pre-start>"), ("stop", "killed", "<33:stop/killed>"),
    ("stop", "running", "<33:stop/running>"), ("respawn", "waiting", "<33:respawn/waiting>")])
def test_what_runs_is_green_and_what_is_under_way_yellow(goal: str, state: str, shown: str) -> None:
    assert list(render.status_lines(Status("web", "a", goal, state, [("main", 1)]), tint)) == [
        f"web (a) {shown}, process 1"]


def test_colours_do_not_change_the_alignment() -> None:
    rows = [[("a", "1"), ("bb", "")], [("ccc", ""), ("d", "2")]]
    assert list(render.table(rows, tint)) == ["<1:a>    bb", "ccc  <2:d>"]


# -- is process 1 ours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "ours"), [
    (["/usr/bin/python3", "/usr/bin/upstartd"], True),
    (["/usr/bin/upstartd"], True),
    (["@/init"], True),  # a link to our daemon
    (["/usr/bin/python3", "@/init", "--verbose"], True),
    (["python3", "-m", "upstartd"], True),
    (["/sbin/init"], False),
    (["/sbin/init", "splash"], False),
    (["bash", "-c", "upstartd"], False),
    (["/bin/sh", "/usr/bin/run", "@/init"], False),
    (["upstartd"], False),  # says so of itself, and is no path
    ([], False),
])
def test_process_1_is_known_by_its_program(tmp_path: Path, words: list[str], ours: bool) -> None:
    (tmp_path / "upstartd").touch()
    (tmp_path / "init").symlink_to("upstartd")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "cmdline").write_text("".join(f"{word.replace('@', str(tmp_path))}\0" for word in words))
    assert processes.first_is_upstartd(str(tmp_path), "/upstartd/test/nobody") is ours


def test_a_process_1_that_cannot_be_seen_is_not_ours(tmp_path: Path) -> None:
    assert not processes.first_is_upstartd(str(tmp_path), "/upstartd/test/nobody")


def test_process_1_is_known_as_who_listens_on_the_daemon_s_socket(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"/upstartd/test/listener/{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        assert processes._listener(name) == 0  # nobody listens yet
        listener.listen()
        assert processes._listener(name) == os.getpid()
        assert not processes.first_is_upstartd(str(tmp_path), name)  # it is we who listen there
        monkeypatch.setattr(processes, "_listener", lambda _: 1)
        assert processes.first_is_upstartd(str(tmp_path), name)
