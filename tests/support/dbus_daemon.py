"""A private dbus-daemon: a session bus, or one that acts as the system bus with our policy file."""

from __future__ import annotations

import subprocess
from pathlib import Path
from xml.sax.saxutils import escape

from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection

POLICY = Path(__file__).parents[2] / "dbus" / "com.ubuntu.Upstart.conf"
UPSTART_NAME = "com.ubuntu.Upstart"

# The rules that Debian's own system bus starts from, as far as they matter here: nobody owns a name and nobody
# calls anybody, unless a policy file allows it.
_SYSTEM_RULES = """
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>"""
_SESSION_RULES = """
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>"""


class DBusDaemon:
    """A context manager: a bus of its own in `directory`, at `address`. With `system` it has our policy file."""

    def __init__(self, directory: Path, *, system: bool = False) -> None:
        self._socket = directory / "bus"
        self._configuration = directory / "bus.conf"
        self._system = system
        self.address = ""

    def __enter__(self) -> DBusDaemon:
        rules, include = _SESSION_RULES, ""
        if self._system:
            rules, include = _SYSTEM_RULES, f"<include>{escape(str(POLICY))}</include>"
        self._configuration.write_text(f"""\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>{"system" if self._system else "session"}</type>
  <listen>unix:path={escape(str(self._socket))}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">{rules}
  </policy>
  {include}
</busconfig>
""")
        self._process = subprocess.Popen(
            ["dbus-daemon", f"--config-file={self._configuration}", "--nofork", "--nopidfile", "--print-address=1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()  # printed once it listens
        assert self.address, f"dbus-daemon ended with status {self._process.wait()}"
        return self

    def __exit__(self, kind: object, why: object, where: object) -> None:
        assert self._process.stdout is not None
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()

    def has_name(self, name: str = UPSTART_NAME) -> bool:
        """Whether somebody owns `name` on this bus."""
        bus = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
        with open_dbus_connection(self.address) as connection:
            reply = connection.send_and_get_reply(new_method_call(bus, "NameHasOwner", "s", (name,)), timeout=10)
        assert reply.header.message_type is MessageType.method_return, reply.body
        return bool(reply.body[0])
