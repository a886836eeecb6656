"""Imports run one way, plugins see the public API only, and light commands stay light.

The order is that of docs/architecture.md. Imports inside functions count as well; those under
``if TYPE_CHECKING`` do not, as they never happen.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = "dcgan_analysis"
BUILTIN = "dcgan_analysis_plugins"

# From the bottom up; a module imports from its own room and from rooms of the rows before it.
LAYERS = (
    ("errors",),
    ("core",),
    ("models", "data", "linear", "figures", "annotations"),
    ("models.kernels", "data.files", "neighbours"),
    ("data.curation", "features"),
    ("checkpoints",),
    ("checkpoints.importers", "training", "api"),
    ("probing", "latents", "host", "report"),
    ("units", "runs"),
    ("units.attribution", "conformance"),
    ("cli",),
    ("testing",),
    ("__init__", "__main__"),
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
HEAVY = ("torch", "torchvision", "sklearn", "captum", "matplotlib", "h5py", "numpy", "PIL", "jinja2")
LIGHT = [
    "import dcgan_analysis",
    "import dcgan_analysis.api, dcgan_analysis.api.hookspecs",
    "import dcgan_analysis.report, dcgan_analysis.figures",
    "from dcgan_analysis.data.files.sources import builtin_datasets; builtin_datasets()",
    "import dcgan_analysis.host.host",
    "import dcgan_analysis.cli.main",
    "from dcgan_analysis.host.host import load_plugins; load_plugins()",
]


def module_name(path, root):
    """Return the dotted name of a source file."""
    parts = list(path.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path, ROOT): path for path in sorted((ROOT / CORE).rglob("*.py"))}
PLUGINS = {module_name(path, ROOT / "plugins"): path for path in sorted((ROOT / "plugins" / BUILTIN).rglob("*.py"))}


class Imports(ast.NodeVisitor):
    """Collects the modules that a source file imports at any depth."""

    def __init__(self):
        self.names = set()

    def visit_If(self, node):
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_Import(self, node):
        self.names |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node):
        assert node.level == 0, f"relative import in line {node.lineno}"
        for alias in node.names:
            submodule = f"{node.module}.{alias.name}"
            self.names.add(submodule if submodule in {**SOURCES, **PLUGINS} else node.module)


@functools.cache
def imports(path):
    """Return the full names of all modules that a file imports."""
    visitor = Imports()
    visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
    return visitor.names


def room(module):
    """Return the room that a module stands in: ``dcgan_analysis.data.files.streams`` is of ``data.files``."""
    _, _, rest = module.partition(".")
    if not rest:
        return "__init__"
    package = module in SOURCES and SOURCES[module].name == "__init__.py"
    return rest if package or "." not in rest else rest.rpartition(".")[0]


def own_imports(module):
    """Return which modules of the framework a module imports."""
    return {name for name in imports(SOURCES[module]) if name.split(".")[0] == CORE}


def test_the_walk_sees_every_kind_of_import(tmp_path):
    source = tmp_path / "module.py"
    source.write_text(
        "from __future__ import annotations\n"
        "import os.path\n"
        "from typing import TYPE_CHECKING\n"
        "from dcgan_analysis import errors\n"
        "from dcgan_analysis.core.registry import Registry\n"
        "if TYPE_CHECKING:\n    import torch\nelse:\n    import json\n"
        "def function():\n    import h5py\n",
        encoding="utf-8",
    )
    assert imports(source) == {
        "__future__",
        "os.path",
        "typing",
        "dcgan_analysis.errors",
        "dcgan_analysis.core.registry",
        "json",
        "h5py",
    }


def test_every_room_has_its_place_in_the_order():
    assert {room(module) for module in SOURCES} == set(LEVEL)


def test_the_house_stays_small_enough_to_know():
    rooms = set(LEVEL) - {"__init__", "__main__", "errors"}
    assert len(rooms) <= 28
    assert len(LAYERS) <= 13
    assert {path.name for path in (ROOT / CORE).glob("*.py")} == {"__init__.py", "__main__.py", "errors.py"}


@pytest.mark.parametrize("module", SOURCES)
def test_imports_run_one_way(module):
    here = room(module)
    upwards = {name for name in own_imports(module) if room(name) != here and LEVEL[room(name)] >= LEVEL[here]}
    assert not upwards


def test_the_framework_never_imports_the_built_in_plugins():
    for module, path in SOURCES.items():
        assert BUILTIN not in {name.split(".")[0] for name in imports(path)}, module


@pytest.mark.parametrize("module", PLUGINS)
def test_a_built_in_plugin_imports_the_public_api_and_no_other_analysis(module):
    names = imports(PLUGINS[module])
    private = {name for name in names if name.startswith(f"{CORE}.") and "._" in name}
    assert not private
    own = module.split(".")[1:2]
    assert not {name for name in names if name.split(".")[0] == BUILTIN and name.split(".")[1:2] != own}


def test_light_imports_load_no_heavy_package():
    # One process for all: what one of them loads is seen there and after all that follow.
    lines = [f"{each}\nprint({each!r}, *sorted(set(sys.modules) & set({HEAVY!r})))" for each in LIGHT]
    command = [sys.executable, "-W", "error", "-c", "\n".join(["import sys", *lines])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == LIGHT
