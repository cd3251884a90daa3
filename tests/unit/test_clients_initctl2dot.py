"""initctl2dot: from what show-config prints to a graph, and to a picture (clients specification, section 4)."""

from __future__ import annotations

import html
import io
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.scripted_upstart import Called, Ran, Reply, ScriptedUpstart
from upstartd_clients import dot
from upstartd_clients.errors import LocalError
from upstartd_clients.initctl2dot import run
from upstartd_clients.output import Output, guarded

if TYPE_CHECKING:
    from pathlib import Path

    from support.scripted_upstart import Answers

NOBODY = "unix:abstract=/upstartd/test/nobody"
# Stands for Graphviz: it writes down its arguments and passes on what it gets.
FAKE_DOT = '#!/bin/sh\necho "$@" > "$(dirname "$0")/called"\nprintf picture:\nexec cat\n'
needs_graphviz = pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def initctl2dot(*arguments: str, **environ: str) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    code = guarded(lambda output: run(arguments, {"UPSTART_SESSION": NOBODY} | environ, output),
                   Output("initctl2dot", out, err))
    return Ran(code, out.getvalue(), err.getvalue())


def drawn(text: str, *only: str) -> tuple[dict[str, str], list[str]]:
    """The nodes of the graph of some configuration, with what they are, and its edges."""
    nodes, edges = {}, []
    for line in list(dot.graph(dot.read(text.splitlines()), "label", dot.COLOURS, only))[3:-1]:
        if match := re.fullmatch(r"  (\w+:\w+|\w+) -> (\w+:\w+|\w+) \[color=\"(\w+)\"(?:, label=\"(.*)\")?\];", line):
            begin, end, colour, label = match.groups()
            edges.append(f"{begin} -> {end} {colour}" + (f" {label}" if label else ""))
        else:
            match = re.fullmatch(r'  (\w+) \[shape=(\w+), style="?([\w,]+)"?, fillcolor="(\S+)", fontcolor="(\w+)", '
                                 r'label="(.*)"\];', line)
            assert match, line
            nodes[match[1]] = f"{match[2]} {match[3]} {match[4]} {match[6]}"
    return nodes, edges


# -- the graph --------------------------------------------------------------------------------------------------------


def test_jobs_are_boxes_with_ports_and_events_are_diamonds() -> None:
    nodes, edges = drawn("web\n  start on net-up (job:, env: IFACE=eth0)\n  stop on runlevel (job:, env: [!2345])\n")
    assert nodes == {
        "job_web": "record filled #DCDCDC <job> web|{<start> start on|<stop> stop on}",
        "event_net_up": "diamond filled thistle net-up",
        "event_runlevel": "diamond filled thistle runlevel",
    }
    assert edges == ["event_net_up -> job_web:start blue IFACE=eth0", "event_runlevel -> job_web:stop red [!2345]"]


def test_job_events_are_lines_between_jobs_and_starting_goes_the_other_way() -> None:
    nodes, edges = drawn("web\n  start on started (job: db, env:)\n  start on starting (job: cache, env: N=1)\n"
                         "  stop on stopping (job: db, env: RESULT=failed)\n  start on stopped (job:, env:)\n")
    assert edges == ["job_db:job -> job_web:start blue started", "job_web:start -> job_cache:job blue starting N=1",
                     "job_db:job -> job_web:stop red stopping RESULT=failed", "event_stopped -> job_web:start blue"]
    assert set(nodes) == {"job_web", "job_db", "job_cache", "event_stopped"}  # those without a file of their own too


def test_emits_are_lines_to_events_and_patterns_also_to_those_that_match() -> None:
    nodes, edges = drawn("net\n  emits net-device-*\n  emits static-network-up\n"
                         "web\n  start on net-device-up (job:, env:)\n  start on net-device-down (job:, env:)\n"
                         "  stop on other (job:, env:)\n")
    assert nodes["event_net_device_star"] == "diamond filled,dotted thistle net-device-*"
    assert nodes["event_static_network_up"] == "diamond filled thistle static-network-up"
    assert edges[:4] == ["job_net:job -> event_net_device_star green", "job_net:job -> event_net_device_up green",
                         "job_net:job -> event_net_device_down green", "job_net:job -> event_static_network_up green"]
    assert "job_net:job -> event_other green" not in edges


def test_a_restricted_graph_has_what_the_jobs_wait_for_and_who_emits_that() -> None:
    text = ("a\n  emits x\n  start on boot (job:, env:)\n"
            "b\n  start on x (job:, env:)\n  stop on stopping (job: c, env:)\n"
            "c\n  emits y\n  start on z (job:, env:)\n"
            "d\n  emits *\n  start on started (job: b, env:)\n")
    nodes, edges = drawn(text, "b")
    assert edges == ["job_a:job -> event_x green", "job_d:job -> event_x green", "event_x -> job_b:start blue",
                     "job_c:job -> job_b:stop red stopping"]
    assert set(nodes) == {"job_a", "job_b", "job_c", "job_d", "event_x"}
    assert drawn(text, "b", "c")[1][-1] == "event_z -> job_c:start blue"
    with pytest.raises(LocalError, match="unknown job e"):
        drawn(text, "b", "e")


def test_nothing_is_drawn_twice() -> None:
    _, edges = drawn("web\n  emits x\n  emits x\n  start on x (job:, env:)\n  start on x (job:, env:)\n")
    assert edges == ["job_web:job -> event_x green", "event_x -> job_web:start blue"]


@pytest.mark.parametrize(("name", "node"), [
    ("web", "web"), ("net-up", "net_up"), ("a_b", "a_b"), ("a.b/c", "adotbslashc"), ("$JOB", "dollarJOB"),
    ("x*?[!y]", "xstarquestionfromnotyto"), ("Zoë", "Zoueb"), ("\udcff", "udcff"),
])
def test_punctuation_in_names_becomes_words(name: str, node: str) -> None:
    assert dot.node_name(name) == node


def test_names_that_would_be_one_node_are_told_apart() -> None:
    nodes, edges = drawn("a-b\n  start on x (job:, env:)\na_b\n  start on y (job:, env:)\n")
    assert {node: label.split()[4].partition("|")[0] for node, label in nodes.items() if node.startswith("job")} == {
        "job_a_b": "a-b", "job_a_b__2": "a_b"}
    assert edges == ["event_x -> job_a_b:start blue", "event_y -> job_a_b__2:start blue"]


def test_the_graph_says_where_it_comes_from_and_what_the_colours_mean() -> None:
    colours = dot.COLOURS | {"bg": "grey", "text": "white", "emits": "orange", "job": "pink", "job-text": "brown"}
    lines = list(dot.graph(dot.read(["web", "  emits x"]), 'from "here"\nand there', colours))
    assert lines[0] == "digraph upstart {"
    assert lines[1] == ('  graph [bgcolor="grey", fontcolor="white", labelloc=b, '
                        'label="from \\"here\\"\\nand there"];')
    assert lines[2] == '  edge [fontcolor="white"];'
    assert 'fillcolor="pink", fontcolor="brown"' in lines[3]
    assert lines[-2:] == ['  job_web:job -> event_x [color="orange"];', "}"]
    assert "orange: emits, blue: start on, red: stop on" in dot.legend(colours)


@pytest.mark.parametrize("line", ["  frob", "  start on x", "  emits ", "  start on  (job:, env:)", " web"])
def test_a_line_that_show_config_does_not_print_is_an_error(line: str) -> None:
    with pytest.raises(LocalError) as caught:
        dot.read(["web", line])
    assert caught.value.message == f"invalid line: {line}"
    with pytest.raises(LocalError):
        dot.read([line])  # and so is what belongs to no job
    assert dot.read(["", "web", "", "  emits x", " "]) == [dot.Job("web", ["x"], [])]


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)


@needs_graphviz
@settings(max_examples=20)
@given(st.lists(st.tuples(NAMES, NAMES, NAMES, NAMES), min_size=2, max_size=6,
                unique_by=lambda row: row[0]))
def test_graphviz_reads_whatever_names_there_are(rows: list[tuple[str, str, str, str]]) -> None:
    jobs = [dot.Job(name, [emitted], [dot.Cause("start", event, None, env), dot.Cause("stop", "stopping", event, env)])
            for name, emitted, event, env in rows]
    text = "\n".join(dot.graph(jobs, "label", dot.COLOURS))
    done = subprocess.run(["dot", "-Tplain"], input=text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b""), text
    names = {job.name for job in jobs} | {cause.job for job in jobs for cause in job.causes if cause.job}
    assert done.stdout.count(b"\nnode job_") == len(names)


@needs_graphviz
def test_names_are_shown_as_they_are(here: Path) -> None:
    name = r'a{b}<c>|d\Ne\ "f" &amp; g'
    text = "\n".join(dot.graph([dot.Job(name, [], [dot.Cause("start", name, None, name)])], name, dot.COLOURS))
    done = subprocess.run(["dot", "-Tsvg"], input=text.encode(), capture_output=True, check=True)
    shown = [html.unescape(found).replace("\xa0", " ")
             for found in re.findall(r"<text [^>]*>(.*?)</text>", done.stdout.decode())]
    assert shown.count(name) == 4  # the graph, the job, the event, the edge


# -- the program ------------------------------------------------------------------------------------------------------

CONFIG = "web\n  emits up\n  start on started (job: db, env:)\n"


def test_a_file_is_drawn_to_a_file(here: Path) -> None:
    (here / "config").write_text(CONFIG)
    assert initctl2dot("-f", "config") == (0, "", "")
    text = (here / "upstart.dot").read_text()
    assert text.startswith("digraph upstart {\n")
    assert "from: config\\nBoxes are jobs" in text
    assert initctl2dot("--infile=config", "-o", "other.dot", "--color-emits", "orange", "-r", "web") == (0, "", "")
    assert "job_db:job -> job_web:start" in (here / "other.dot").read_text()
    assert "orange" in (here / "other.dot").read_text()


def test_a_daemon_is_asked_for_the_configuration_of_all_jobs(here: Path) -> None:
    def config(call: Called) -> Reply:
        return Reply("a{sv}", ({"name": ("s", "web"), "emits": ("as", ["up"]), "stop_on": ("aas", []),
                                "start_on": ("aas", [["started", "db"], ["boot"], ["/OR"]])},))

    answers: Answers = {"GetAllJobs": Reply("ao", (["/com/ubuntu/Upstart/jobs/web"],)), "GetAll": config}
    with ScriptedUpstart(answers) as daemon:
        for options, source in (([], "initctl show-config -e"), (["--user"], "initctl --user show-config -e")):
            assert initctl2dot(*options, **daemon.environ()) == (0, "", "")
            text = (here / "upstart.dot").read_text()
            assert f"from: {source}\\n" in text
            for edge in ("job_web:job -> event_up", "job_db:job -> job_web:start", "event_boot -> job_web:start"):
                assert edge in text


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_a_picture_is_drawn_by_graphviz(here: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    (here / "config").write_text(CONFIG)
    (here / "bin").mkdir()
    (here / "bin" / "dot").write_text(FAKE_DOT)
    (here / "bin" / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}/bin:{os.environ['PATH']}")
    assert initctl2dot("-f", "config", "--format", kind) == (0, "", "")
    assert (here / "bin" / "called").read_text() == f"-T{kind}\n"
    assert (here / f"upstart.{kind}").read_text().startswith("picture:digraph upstart {\n")
    (here / "bin" / "dot").write_text("#!/bin/sh\necho it rains >&2\nexit 3\n")
    assert initctl2dot("-f", "config", "--format", kind) == (1, "", "ERROR: cannot draw the graph: it rains\n")
    (here / "bin" / "dot").write_text("#!/bin/sh\nexit 3\n")
    assert initctl2dot("-f", "config", "--format", kind).err == "ERROR: cannot draw the graph: dot ended with 3\n"
    monkeypatch.setenv("PATH", str(here))
    assert initctl2dot("-f", "config", "--format", kind) == (
        1, "", "ERROR: cannot run dot, which comes with Graphviz: No such file or directory\n")


@needs_graphviz
@pytest.mark.parametrize(("kind", "beginning"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_picture_is_one(here: Path, kind: str, beginning: bytes) -> None:
    (here / "config").write_text(CONFIG)
    assert initctl2dot("-f", "config", f"--format={kind}", "-o", "picture") == (0, "", "")
    assert (here / "picture").read_bytes().startswith(beginning)


@pytest.mark.parametrize(("arguments", "said"), [
    (["-f", "none"], "ERROR: cannot read file 'none'\n"),
    (["-f", "wrong"], "ERROR: invalid line:   frob\n"),
    (["-f", "config", "-r", "web,cache"], "ERROR: unknown job cache\n"),
    (["-f", "config", "-o", "no/such"], "ERROR: cannot open file no/such for writing: No such file or directory\n"),
    (["--format=gif"], "initctl2dot: unknown format: gif\nTry `initctl2dot --help' for more information.\n"),
    (["--frob"], "initctl2dot: invalid option: --frob\nTry `initctl2dot --help' for more information.\n"),
])
def test_what_cannot_be_done_is_told(here: Path, arguments: list[str], said: str) -> None:
    (here / "config").write_text(CONFIG)
    (here / "wrong").write_text("web\n  frob\n")
    assert initctl2dot(*arguments) == (1, "", said)
    assert not (here / "upstart.dot").exists()


def test_without_a_daemon_there_is_nothing_to_draw(here: Path) -> None:
    code, out, err = initctl2dot()
    assert (code, out) == (1, "")
    assert err.startswith("initctl2dot: Unable to connect to Upstart: ")
    assert initctl2dot("--user", UPSTART_SESSION="").err.startswith("initctl2dot: UPSTART_SESSION isn't set")
