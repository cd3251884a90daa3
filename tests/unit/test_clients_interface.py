"""The clients' table of methods against the introspection data, which is the source of truth."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from upstartd.places import SYSTEM_SOCKET
from upstartd_clients.connect import PRIVATE_ADDRESS
from upstartd_clients.interface import METHODS, PROPERTY_TYPES

DBUS = Path(__file__).parents[2] / "dbus"


def interfaces() -> dict[str, ET.Element]:
    found = {}
    for file in DBUS.glob("*.xml"):
        for element in ET.parse(file).getroot().iter("interface"):
            found[element.attrib["name"]] = element
    return found


def test_every_method_has_the_signatures_of_the_interface() -> None:
    known = interfaces()
    for (interface, method), (takes, gives) in METHODS.items():
        element = known[interface].find(f"method[@name='{method}']")
        assert element is not None, method
        signatures = {"in": "", "out": ""}
        for argument in element.iter("arg"):
            signatures[argument.attrib["direction"]] += argument.attrib["type"]
        assert (takes, gives) == (signatures["in"], signatures["out"]), method


def test_every_property_has_the_type_of_the_interface() -> None:
    known = interfaces()
    for interface, properties in PROPERTY_TYPES.items():
        for name, signature in properties.items():
            element = known[interface].find(f"property[@name='{name}']")
            assert element is not None, name
            assert element.attrib["type"] == signature, name


def test_the_private_socket_is_the_daemon_s() -> None:
    assert f"unix:abstract={SYSTEM_SOCKET}" == PRIVATE_ADDRESS
