"""What is installed from a built package has the interfaces, and the mock's template: they are kept elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from upstartd.bus import interfaces

TREE = Path(__file__).parents[2]
SHOW = (
    "import json; from upstartd.bus import interfaces; "
    "print(json.dumps([interfaces.__file__, sorted('.'.join(m) for m in interfaces.METHODS)]))"
)


def test_the_interfaces_are_in_what_is_built(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    tree, built = tmp_path / "tree", tmp_path / "built"
    tree.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(TREE / name, tree)
    for name in ("upstartd", "clients", "dbus", "packaging"):
        shutil.copytree(TREE / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-W", "ignore", "-c", "import setuptools; setuptools.setup()", "-q",
             "build_py", "--build-lib", str(built)]
    subprocess.run(build, cwd=tree, check=True, capture_output=True, timeout=120)
    shutil.rmtree(tree)
    shown = subprocess.run([sys.executable, "-c", SHOW], cwd=tmp_path, env={"PYTHONPATH": str(built)}, check=True,
                           capture_output=True, text=True, timeout=60)
    file, methods = json.loads(shown.stdout)
    assert Path(file).is_relative_to(built)
    template = built / "upstartd_clients" / "dbusmock" / "upstart.py"
    assert template.read_bytes() == (TREE / "packaging" / "dbusmock" / "upstart.py").read_bytes()
    assert methods == sorted(".".join(member) for member in interfaces.METHODS)
