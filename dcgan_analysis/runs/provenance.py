"""Which code made a number: the distribution of the plugin that ran, and the rooms of the framework that compute."""

from __future__ import annotations

import ast
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan_analysis.core.hashing import hash_code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcgan_analysis.api.analysis import Analysis
    from dcgan_analysis.host.loading import PluginInfo

_FRAMEWORK = Path(__file__).parents[1]
# They find, show and check; what they do changes no number.
_NOT_COMPUTING = frozenset({"cli", "conformance", "host", "report", "testing"})


def code_sha256(analysis: Analysis | None = None, plugin: PluginInfo | None = None) -> str:
    """Hash the code that a run's numbers depend on; docstrings, comments and layout do not count.

    Of a plugin that is installed as a distribution, all its Python files count. Of an editable installation, and of a
    module that is merely on the path, those of the package do, or of a module by itself and the modules beside it that
    it imports.

    Args:
        analysis: The analysis that runs; None: the framework alone.
        plugin: The plugin that registered it; None: it was given as an object.
    """
    files = _computing_rooms(_FRAMEWORK)
    if analysis is not None:
        modules = {type(analysis).__module__}
        if plugin is not None:
            modules.add(plugin.module.partition(":")[0])
            # The distribution of the built-in plugins holds the whole framework.
            files |= {} if plugin.builtin else _distribution_files(plugin.distribution)
        for module in modules:
            if module.partition(".")[0] != _FRAMEWORK.name:
                files |= _package_files(module)
    return hash_code(files)


def _computing_rooms(root: Path) -> dict[str, Path]:
    rooms = [room for room in root.iterdir() if room.is_dir() and room.name not in _NOT_COMPUTING]
    return {name: path for room in rooms for name, path in _folder_files(room, root)}


def _folder_files(folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*.py")):
        yield path.relative_to(root).as_posix(), path


def _distribution_files(name: str) -> dict[str, Path]:
    """Return the Python files of an installed distribution; an editable one lists none but those of its installer."""
    try:
        files = metadata.distribution(name).files if name else None
    except metadata.PackageNotFoundError:
        files = None
    paths = {file.as_posix(): Path(str(file.locate())) for file in files or () if file.suffix == ".py"}
    return {name: path for name, path in paths.items() if not path.name.startswith("__editable__") and path.is_file()}


def _package_files(module: str) -> dict[str, Path]:
    """Return the Python files of the package that an imported module belongs to."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        package = sys.modules.get(".".join(parts[:end]))
        file = getattr(package, "__file__", None)
        if file is None:  # a namespace, which several distributions may share; or typed at a prompt
            continue
        path = Path(file)
        if path.name == "__init__.py":
            root = path.parents[end]
            return dict(_folder_files(path.parent, root))
        return _with_neighbours(path)
    return {}


def _with_neighbours(path: Path) -> dict[str, Path]:
    """Return a module that stands by itself and the modules in its folder that it imports, and they in turn."""
    files: dict[str, Path] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file.name not in files and file.is_file():
            files[file.name] = file
            waiting += [path.with_name(f"{name}.py") for name in _imported(file)]
    return files


def _imported(path: Path) -> set[str]:
    """Return the first words of the names that a file imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return set()
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in names}
