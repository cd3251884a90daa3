"""What a client loads before it can ask: little, as the interpreter alone takes a third of the time (Budgets)."""

from __future__ import annotations

import subprocess
import sys

# Each of these takes as long to import as half of what `initctl status` may take, or longer; the parser and the
# bus side of the daemon are not for a client in any case.
TOO_SLOW = {"asyncio", "dbus_next", "pyparsing", "argparse", "dataclasses", "inspect", "json", "difflib",
            "concurrent", "logging", "subprocess", "upstartd.conf", "upstartd.bus", "upstartd.engine"}
# What there is beyond the interpreter's own start-up: our modules, jeepney's, and what these need.
MOST_MODULES = 80

PROGRAM = """
import sys
before = set(sys.modules)
sys.argv = ["initctl", "status", "web"]
from upstartd_clients.initctl import main
code = main()
print(code, *(set(sys.modules) - before))
"""


def test_status_loads_nothing_that_is_slow() -> None:
    done = subprocess.run([sys.executable, "-I", "-c", PROGRAM], capture_output=True, text=True, check=True,
                          env={"UPSTART_SESSION": "unix:abstract=/upstartd/test/nobody"})
    assert done.stderr.startswith("initctl: Unable to connect to Upstart: ")  # so all of the way there was loaded
    code, *loaded = done.stdout.split()
    assert code == "1"
    assert "jeepney.low_level" in loaded
    assert TOO_SLOW.isdisjoint(loaded)
    assert len(loaded) < MOST_MODULES, sorted(loaded)
    ours = {module for module in loaded if module.startswith("upstartd")}
    assert ours == {"upstartd", "upstartd.errors", "upstartd_clients"} | {f"upstartd_clients.{name}" for name in (
        "actions", "as_json", "commands", "conditions", "connect", "connection", "errors", "initctl", "interface",
        "messages", "options", "output", "render", "upstart")}
