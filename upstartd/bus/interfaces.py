"""The D-Bus interfaces as `dbus/*.xml` declare them: the one source of signatures, names and access.

Loaded once, with the module; a tree without the files does not start. Not responsible for what the methods do
(methods.py). `xml` beside this module is the top-level directory `dbus`, which a wheel has in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from typing import TypeAlias

MANAGER = "com.ubuntu.Upstart0_6"
JOB = MANAGER + ".Job"
INSTANCE = MANAGER + ".Instance"
PROPERTIES = "org.freedesktop.DBus.Properties"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
PEER = "org.freedesktop.DBus.Peer"

BUS_NAME = "com.ubuntu.Upstart"

Member: TypeAlias = "tuple[str, str]"  # the names of an interface and of a method, signal or property in it


@dataclass(frozen=True, slots=True)
class MethodDeclaration:
    """What goes into a method and what comes out of it. No method of ours gives more than one value."""

    inputs: tuple[tuple[str, str], ...]  # (name, type)
    output: str

    @property
    def signature(self) -> str:
        """The types of all inputs."""
        return "".join(kind for _, kind in self.inputs)


@dataclass(frozen=True, slots=True)
class PropertyDeclaration:
    """A property's type, and whether it can be set."""

    signature: str
    writable: bool


METHODS: dict[Member, MethodDeclaration] = {}
SIGNALS: dict[Member, str] = {}  # the types of all arguments
PROPERTIES_OF: dict[str, dict[str, PropertyDeclaration]] = {}  # by interface, then by name
DESCRIPTIONS: dict[str, str] = {}  # an interface as introspection shows it


def _load(path: Path) -> None:
    for interface in ElementTree.parse(path).getroot():
        name = interface.attrib["name"]
        for method in interface.iter("method"):
            arguments = method.findall("arg")
            METHODS[name, method.attrib["name"]] = MethodDeclaration(
                tuple((a.attrib["name"], a.attrib["type"]) for a in arguments if a.attrib["direction"] == "in"),
                "".join(a.attrib["type"] for a in arguments if a.attrib["direction"] == "out"),
            )
        for signal in interface.iter("signal"):
            SIGNALS[name, signal.attrib["name"]] = "".join(a.attrib["type"] for a in signal.iter("arg"))
        PROPERTIES_OF[name] = {
            p.attrib["name"]: PropertyDeclaration(p.attrib["type"], "write" in p.attrib["access"])
            for p in interface.iter("property")
        }
        ElementTree.indent(interface, level=1)
        interface.tail = "\n"
        DESCRIPTIONS[name] = "  " + ElementTree.tostring(interface, encoding="unicode")


for _path in sorted((Path(__file__).parent / "xml").glob("*.xml")):
    _load(_path)
