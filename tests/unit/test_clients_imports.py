"""What a client loads before it can ask: little, as the interpreter alone takes half of the time (Budgets)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import upstartd
import upstartd_clients

# Each of these takes more time to import than one of our own modules that is as large, and many a multiple of all of
# them; the parser and the bus side of the daemon are not for a client in any case.
TOO_SLOW = {"asyncio", "dbus_next", "pyparsing", "argparse", "dataclasses", "inspect", "json", "difflib", "concurrent",
            "logging", "signal", "subprocess", "textwrap", "urllib", "upstartd.conf", "upstartd.bus.wire",
            "upstartd.engine", "upstartd.places"}

PROGRAM = """
import sys
before = set(sys.modules)
sys.path[:0] = {path!r}
sys.argv = {argv!r}
from upstartd_clients.{module} import main
code = main()
print(code, *(set(sys.modules) - before))
"""
PATH = [str(Path(package.__file__ or "").parents[1]) for package in (upstartd, upstartd_clients)]
OURS = {"upstartd", "upstartd.bus", "upstartd.bus.address", "upstartd.errors", "upstartd_clients"} | {
    f"upstartd_clients.{name}" for name in (
        "actions", "as_json", "commands", "connect", "connection", "errors", "initctl", "interface", "messages",
        "options", "output", "render", "upstart", "values")}


@pytest.mark.parametrize(("argv", "module", "more"), [
    (["initctl", "status", "web"], "initctl", set()),
    (["initctl", "list"], "initctl", set()),
    (["start", "web"], "initctl", set()),
    (["service", "--user", "web", "status"], "service", {"upstartd_clients.service"}),
])
def test_what_asks_the_daemon_loads_nothing_that_is_slow(argv: list[str], module: str, more: set[str]) -> None:
    # Without the module `site`, as what makes a package's files editable is loaded with that, and loads some of these.
    program = PROGRAM.format(path=PATH, argv=argv, module=module)
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True,
                          env={"UPSTART_SESSION": "unix:abstract=/upstartd/test/nobody"})
    # So all of the way there was loaded.
    assert done.stderr.startswith(f"{argv[0]}: Unable to connect to Upstart: ")
    code, *loaded = done.stdout.split()
    assert code == "1"
    assert TOO_SLOW.isdisjoint(loaded)
    assert {module for module in loaded if module.startswith("upstartd")} == OURS | more


@pytest.mark.parametrize("module", ["runlevel", "telinit", "shutdown", "reboot"])
def test_the_system_v_tools_load_nothing_of_the_daemon_that_is_slow(module: str) -> None:
    program = PROGRAM.format(path=PATH, argv=[module, "--version"], module=module)
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    code, *loaded = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert {"asyncio", "dataclasses", "inspect", "pyparsing", "upstartd.cli", "upstartd.conf"}.isdisjoint(loaded)
