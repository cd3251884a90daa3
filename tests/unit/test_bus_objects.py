"""Paths of objects, what is found there, and what introspection says."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.bus_host import HostForTests, Silent
from upstartd.bus import interfaces, objects
from upstartd.bus.objects import escape, find, instance_path, introspect, job_path, unescape
from upstartd.conf.model import Command, JobConfig, ProcessName
from upstartd.engine import inputs

if TYPE_CHECKING:
    from upstartd.bus.host import Host

NAMES = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.binary().map(lambda raw: raw.decode(
    "utf-8", "surrogateescape")))


@pytest.mark.parametrize(
    ("name", "element"),
    [
        ("", "_"),
        ("web2", "web2"),
        ("a_b", "a_5fb"),
        ("net/if-up.d", "net_2fif_2dup_2ed"),
        ("é", "_c3_a9"),
        ("\udcff", "_ff"),  # a byte that is no UTF-8
        ("²", "_c2_b2"),  # a digit, but not in ASCII
    ],
)
def test_names_in_paths_have_the_real_values_of_their_bytes(name: str, element: str) -> None:
    assert escape(name) == element
    assert unescape(element) == name


@given(NAMES)
def test_every_name_has_one_element_of_its_own(name: str) -> None:
    assert unescape(escape(name)) == name


@given(st.text("abAB09_%f \n"))
def test_an_element_that_no_name_has_is_no_name(element: str) -> None:
    name = unescape(element)
    assert name is None or escape(name) == element


@pytest.mark.parametrize("element", ["a_5F", "_41", "__", "a_", "_5", "a-b", "é"])
def test_other_spellings_of_a_name_are_not_found(element: str) -> None:
    assert unescape(element) is None


@pytest.fixture
def host() -> HostForTests:
    host = HostForTests()
    host.bus = Silent()
    host.define("web")
    host.define("net/if", JobConfig(instance="$IF", processes={ProcessName.MAIN: Command("x")}))
    for interface in ("eth0", "é"):
        host.submit(inputs.StartJob("net/if", (f"IF={interface}",), False, Silent()))
    return host


def test_objects_are_found_by_their_paths(host: Host) -> None:
    manager = find(host, "/com/ubuntu/Upstart")
    assert (manager.target, manager.interfaces[0]) == (host, interfaces.MANAGER)
    job = find(host, job_path("web"))
    assert (job.target, job.interfaces[0], job.subject) == (host.engine.classes["web"], interfaces.JOB, "web")
    instance = find(host, instance_path("net/if", "é"))
    assert instance.target is host.engine.classes["net/if"].instances["é"]
    assert (instance.interfaces[0], instance.subject) == (interfaces.INSTANCE, "net/if (é)")


@pytest.mark.parametrize(
    "path",
    ["/com/ubuntu/Upstart/jobs/nope", "/com/ubuntu/Upstart/jobs/web/_", "/com/ubuntu/Upstart/jobs/web/_/_",
     "/com/ubuntu/Upstart/jobs/", "/com/ubuntu/Upstart/jobs//", "/com/ubuntu/Upstart/job", "/com/ubuntu/Upstar",
     "/org", "", "com", "//"],
)  # fmt: skip
def test_where_there_is_nothing_there_is_only_the_peer(host: Host, path: str) -> None:
    node = find(host, path)
    assert (node.target, node.interfaces) == (None, (interfaces.PEER,))


@pytest.mark.parametrize(
    ("path", "children"),
    [
        ("/", ["com"]),
        ("/com", ["ubuntu"]),
        ("/com/ubuntu", ["Upstart"]),
        ("/com/ubuntu/Upstart", ["jobs"]),
        ("/com/ubuntu/Upstart/jobs", ["web", "net_2fif"]),
        (job_path("web"), []),
        (job_path("net/if"), ["eth0", "_c3_a9"]),
        (instance_path("net/if", "eth0"), []),
    ],
)
def test_introspection_leads_to_every_object(host: Host, path: str, children: list[str]) -> None:
    root = ElementTree.fromstring(introspect(find(host, path)))
    assert [node.attrib["name"] for node in root.findall("node")] == children


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/com/ubuntu/Upstart", interfaces.MANAGER),
        (job_path("web"), interfaces.JOB),
        (instance_path("net/if", "eth0"), interfaces.INSTANCE),
    ],
)
def test_introspection_shows_the_interfaces_of_an_object_as_declared(host: Host, path: str, own: str) -> None:
    root = ElementTree.fromstring(introspect(find(host, path)))
    shown = {interface.attrib["name"]: interface for interface in root.findall("interface")}
    assert list(shown) == [own, interfaces.PROPERTIES, interfaces.INTROSPECTABLE]
    methods = {
        method.attrib["name"]: [(a.attrib["name"], a.attrib["type"]) for a in method if a.attrib["direction"] == "in"]
        for method in shown[own].findall("method")
    }
    assert methods == {
        name: list(declared.inputs) for (interface, name), declared in interfaces.METHODS.items() if interface == own
    }
    assert {p.attrib["name"]: p.attrib["access"] == "readwrite" for p in shown[own].findall("property")} == {
        name: declared.writable for name, declared in interfaces.PROPERTIES_OF[own].items()
    }
    assert {s.attrib["name"] for s in shown[own].findall("signal")} == {
        name for interface, name in interfaces.SIGNALS if interface == own
    }


def test_a_path_above_objects_shows_no_interface(host: Host) -> None:
    assert "<interface" not in introspect(find(host, objects.MANAGER_PATH + "/jobs"))


# -- chroot sessions ----------------------------------------------------------------------------------------

BOX = "/srv/my-box"
BOX_PATH = "/com/ubuntu/Upstart/jobs/_2fsrv_2fmy_2dbox"


@pytest.fixture
def box(host: HostForTests) -> HostForTests:
    """The session of a root directory, with a job that the daemon also has."""
    box = host.enter_session(BOX)
    box.define("web")
    box.submit(inputs.StartJob("web", (), False, Silent()))
    return box


def test_the_jobs_of_a_chroot_session_are_below_its_root() -> None:
    assert job_path("net/if", BOX) == f"{BOX_PATH}/net_2fif"
    assert instance_path("net/if", "", BOX) == f"{BOX_PATH}/net_2fif/_"


def test_the_objects_of_a_chroot_session_are_found_by_everybody(host: Host, box: Host) -> None:
    for caller in (host, box):
        job = find(caller, f"{BOX_PATH}/web")
        assert (job.host, job.target, job.subject) == (box, box.engine.classes["web"], "web")
        assert find(caller, f"{BOX_PATH}/web/_").target is box.engine.classes["web"].instances[""]
        own = find(caller, job_path("web"))
        assert (own.host, own.target) == (host, host.engine.classes["web"])


def test_the_manager_is_that_of_the_caller_s_session(host: Host, box: Host) -> None:
    assert find(host, objects.MANAGER_PATH).target is host
    assert find(box, objects.MANAGER_PATH).target is box


@pytest.mark.parametrize("path", [f"{BOX_PATH}x/web", f"{BOX_PATH}/nope", f"{BOX_PATH}/web/nope", f"{BOX_PATH}/_/_/_"])
def test_in_a_chroot_session_nothing_is_where_nothing_was_made(host: Host, box: Host, path: str) -> None:
    assert (find(box, path).target, find(box, path).interfaces) == (None, (interfaces.PEER,))


@pytest.mark.parametrize(
    ("path", "children"),
    [
        ("/", ["com"]),
        ("/com/ubuntu/Upstart", ["jobs"]),
        ("/com/ubuntu/Upstart/jobs", ["_2fsrv_2fmy_2dbox"]),
        (BOX_PATH, ["web"]),
        (f"{BOX_PATH}/web", ["_"]),
        (f"{BOX_PATH}/web/_", []),
    ],
)
def test_introspection_leads_a_chroot_session_to_its_own_jobs(box: Host, path: str, children: list[str]) -> None:
    root = ElementTree.fromstring(introspect(find(box, path)))
    assert [node.attrib["name"] for node in root.findall("node")] == children
