"""A root directory with a shell and some programs in it, and clients that live there. It takes root.

Run as a program this module is such a client: it enters the root directory that is its argument, and then makes the
calls that it reads as lines of JSON. All that it needs is loaded by then, as there is no Python in there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.bus_host import MANAGER, ROOT, Client, Refused
from support.daemon import PROGRAMS
from support.waiting import LIMIT
from upstartd.bus.objects import escape
from upstartd.places import SYSTEM_SOCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

_PROGRAMS = ("sh", "cat", "mkdir", "sleep")
_TREE = Path(__file__).parents[2]

# Runs a program of this machine below another root directory: $1 is that, $NEEDED what is needed of this machine.
_BORROW = """
set -eu
root=$1
shift
for path in $NEEDED; do
    mkdir -p "$root$path"
    mount --bind "$path" "$root$path"
done
exec chroot "$root" "$@"
"""


class Box:
    """The root directory `path`, which is made: with /etc/init, and some programs in /bin."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.init = path / "etc" / "init"
        self.init.mkdir(parents=True)
        (path / "bin").mkdir()
        for name in _PROGRAMS:
            program = shutil.which(name)
            assert program is not None, f"there is no {name} on this machine"
            shutil.copy(program, path / "bin" / name)
            libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
            for library in re.findall(r"(/\S+) \(0x", libraries):
                place = path / library[1:]
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, place)

    @property
    def objects(self) -> str:
        """The path that its jobs are below."""
        return f"{ROOT}/jobs/{escape(str(self.path))}"

    def write_job(self, name: str, text: str) -> None:
        """Put a job file into its job directory."""
        (self.init / f"{name}.conf").write_text(text)

    def read(self, name: str) -> str:
        """What the file of that name in its root directory holds; "" where there is none."""
        path = self.path / name
        return path.read_text() if path.exists() else ""

    def client(self) -> BoxClient:
        """A client of the system instance; a context manager."""
        return BoxClient(self.path)

    def try_run(self, environ: Mapping[str, str], *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this machine there, in a mount namespace of its own."""
        needed = dict.fromkeys(["/bin", "/lib", "/lib64", "/usr", sys.base_prefix, sys.prefix, str(_TREE)])
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", _BORROW, "sh", str(self.path), *command], capture_output=True, text=True,
            env={**environ, "NEEDED": " ".join(path for path in needed if Path(path).is_dir())},
            stdin=subprocess.DEVNULL, timeout=LIMIT, check=False,
        )  # fmt: skip


class BoxClient:
    """A client that lives in another root directory; a context manager. Each call gives what Client's does."""

    def __init__(self, root: Path) -> None:
        environ = {**os.environ, "PYTHONPATH": str(_TREE / "tests"), "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environ,
        )  # fmt: skip

    def __enter__(self) -> BoxClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None,
                 where: TracebackType | None) -> None:
        self.process.communicate(timeout=LIMIT)

    def _ask(self, *what: object) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(what), file=self.process.stdin, flush=True)
        kind, answer = json.loads(self.process.stdout.readline())
        if kind == "refused":
            raise Refused(*answer)
        return answer

    def call(self, path: str, interface: str, member: str, signature: str = "", *arguments: object) -> Any:
        """Call a method and wait for what it gives."""
        return self._ask("call", path, interface, member, signature, *arguments)

    def manager(self, member: str, signature: str = "", *arguments: object) -> Any:
        """Call a method of the manager."""
        return self.call(ROOT, MANAGER, member, signature, *arguments)

    def get(self, path: str, interface: str, name: str) -> Any:
        """The value of a property."""
        return self._ask("get", path, interface, name)[1]

    def signals(self) -> list[list[Any]]:
        """The signals that have come: path, member, arguments."""
        answer: list[list[Any]] = self._ask("signals")
        return answer


def _main(root: str) -> None:
    os.chroot(root)
    os.chdir("/")
    with Client.on_socket(SYSTEM_SOCKET) as client:
        do: dict[str, Callable[..., Any]] = {"call": client.call, "get": client.get, "signals": lambda: client.signals}
        for line in sys.stdin:
            what, *arguments = json.loads(line)
            try:
                answer = ["answer", do[what](*arguments)]
            except Refused as why:
                answer = ["refused", why.args]
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
