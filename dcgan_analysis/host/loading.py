"""How plugins are found, selected and imported; the host keeps what comes of it."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field, fields
from importlib import metadata
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dcgan_analysis.api.hookspecs import PROJECT, hookimpl
from dcgan_analysis.checkpoints.importers import builtin_importers
from dcgan_analysis.data.files.sources import builtin_datasets
from dcgan_analysis.errors import ConfigError, unknown_name
from dcgan_analysis.models.registry import builtin_architectures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from dcgan_analysis.checkpoints.importers.contract import WeightImporter
    from dcgan_analysis.data.registry import DatasetEntry
    from dcgan_analysis.models.registry import ArchitectureEntry

SELECT_VARIABLE = "DCGAN_ANALYSIS_PLUGINS"
FILES_VARIABLE = "DCGAN_ANALYSIS_PLUGIN_FILES"
DISTRIBUTION = "dcgan-analysis"

# A plugin that calls sys.exit() while it is imported must not end the program; Ctrl-C must.
FAILURES = (Exception, SystemExit)


@dataclass(frozen=True)
class PluginInfo:
    """What is known of one plugin, whether it could be loaded or not.

    Attributes:
        name: Name of its entry point.
        distribution: The installed package that it belongs to; empty for a plugin registered by a
            program.
        version: That package's version.
        module: What the entry point names: ``"acme_gan.plugin"``.
        builtin: Whether it is part of dcgan-analysis.
        state: ``loaded``; ``failed``: see ``error``; ``disabled`` by ``DCGAN_ANALYSIS_PLUGINS``.
        hooks: Names of the hooks it implements.
        registered: What it registered: kind in the plural (``"analyses"``) -> names.
        seconds: How long it took to import, with what no plugin before it had imported.
        error: Why it failed, one line that names the plugin; empty otherwise.
        cause: The exception behind ``error``.
    """

    name: str
    distribution: str = ""
    version: str = ""
    module: str = ""
    builtin: bool = False
    state: Literal["loaded", "failed", "disabled"] = "loaded"
    hooks: tuple[str, ...] = ()
    registered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)
    error: str = ""
    cause: BaseException | None = field(default=None, repr=False, compare=False)

    @property
    def package(self) -> str:
        """Distribution and version: ``"acme-gan 2.0"``."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def owner(self) -> str:
        """How messages and registries call it: ``"acme-gan 2.0 (acme)"``."""
        return f"{self.package} ({self.name})" if self.package else f"plugin '{self.name}'"

    @property
    def title(self) -> str:
        """How a sentence about it begins: ``"Plugin 'acme' (acme-gan 2.0)"``."""
        return f"Plugin '{self.name}'" + (f" ({self.package})" if self.package else "")

    def document(self) -> dict[str, Any]:
        """Return everything but ``cause`` as JSON-serialisable values."""
        # Field by field: an exception of a plugin need not let itself be copied.
        known = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "cause"}
        return known | {"registered": {k: list(v) for k, v in self.registered.items()}, "hooks": list(self.hooks)}


class CorePlugin:
    """What the framework itself registers: a plugin like any other, always there, always first."""

    @hookimpl
    def dcgan_register_architectures(self, register: Callable[[ArchitectureEntry], None]) -> None:
        """Register the architectures that come with the framework."""
        for entry in builtin_architectures():
            register(entry)

    @hookimpl
    def dcgan_register_datasets(self, register: Callable[[DatasetEntry], None]) -> None:
        """Register the datasets that come with the framework."""
        for entry in builtin_datasets():
            register(entry)

    @hookimpl
    def dcgan_register_importers(self, register: Callable[[WeightImporter], None]) -> None:
        """Register the importers that come with the framework."""
        for entry in builtin_importers():
            register(entry)


def core_info() -> PluginInfo:
    """Describe the plugin that holds what the framework itself registers."""
    version = ""
    with suppress(metadata.PackageNotFoundError):  # Run from its sources, without an installation.
        version = metadata.version(DISTRIBUTION)
    return PluginInfo(name="core", distribution=DISTRIBUTION, version=version, builtin=True)


def _origin(distribution: metadata.Distribution | None) -> tuple[str, str]:
    """Return name and version of what is installed; every call reads and parses its metadata."""
    name = version = ""
    if distribution is not None:
        with suppress(*FAILURES):  # Damaged metadata: the plugin itself may still be sound.
            name, version = distribution.name or "", distribution.version or ""
    return name or "unknown distribution", version


def _plugin_info(entry_point: metadata.EntryPoint, distribution: str, version: str) -> PluginInfo:
    """Describe an entry point without importing what it names."""
    return PluginInfo(
        name=entry_point.name,
        distribution=distribution,
        version=version,
        module=entry_point.value,
        builtin=re.sub(r"[-_.]+", "-", distribution).lower() == DISTRIBUTION,  # PEP 503
    )


def find_entry_points() -> list[tuple[PluginInfo, metadata.EntryPoint]]:
    """Find all plugins of all installed packages, in the order in which they are to be loaded.

    Built-in ones come first, so that a stranger who takes the name of a built-in analysis loses it,
    not the other way round; then by name, so that the order is the same on every machine.
    """
    entry_points, origins = [], {}
    for entry in metadata.entry_points(group=PROJECT):
        # One distribution may bring many plugins; their entry points share it.
        if id(entry.dist) not in origins:
            origins[id(entry.dist)] = _origin(entry.dist)
        entry_points.append((_plugin_info(entry, *origins[id(entry.dist)]), entry))
    return sorted(entry_points, key=lambda pair: (not pair[0].builtin, pair[0].name, pair[0].package))


def may_bring(entry_point: metadata.EntryPoint, hook: str) -> bool:
    """Say whether a plugin may implement a hook, without importing it.

    A module that implements a hook names it. An entry point that names an object of a module may have got it from
    anywhere, so that it may implement any.
    """
    if entry_point.attr:
        return True
    try:
        spec = find_spec(entry_point.module)
        return spec is None or spec.origin is None or hook in Path(spec.origin).read_text(encoding="utf-8")
    except FAILURES:
        return True  # Loading it will tell why.


def parse_selection(text: str | None, plugins: list[PluginInfo]) -> frozenset[str] | None:
    """Read the value of ``DCGAN_ANALYSIS_PLUGINS``.

    Args:
        text: None: all plugins; otherwise names joined by commas, empty for none but the built-in
            ones.
        plugins: All plugins there are.

    Returns:
        The names chosen, or None for all.

    Raises:
        ConfigError: If a name is not that of an installed plugin.
    """
    if text is None:
        return None
    chosen = frozenset(name.strip() for name in text.split(",")) - {""}
    names = {info.name for info in plugins}
    for name in sorted(chosen - names):
        msg = f"{SELECT_VARIABLE}: {unknown_name('plugin', name, names)}"
        raise ConfigError(msg)
    return chosen


def plugin_files() -> list[Path]:
    """Return the files that ``DCGAN_ANALYSIS_PLUGIN_FILES`` names, joined as in ``PATH``."""
    return [Path(path) for path in os.environ.get(FILES_VARIABLE, "").split(os.pathsep) if path]


def file_plugin(path: Path) -> tuple[PluginInfo, Callable[[], ModuleType]]:
    """Return a Python file as a plugin, and what imports it.

    Modules beside the file can be imported by it, as beside a script.

    Raises:
        ConfigError: If there is no such file, or it is no Python file.
    """
    if not path.is_file() or path.suffix != ".py":
        msg = f"Plugin file '{path}' {'is no Python file (.py)' if path.is_file() else 'does not exist'}."
        raise ConfigError(msg)
    path = path.resolve()
    name = f"dcgan_analysis_plugin_{path.stem}"

    def source() -> ModuleType:
        spec = spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            msg = f"'{path}' cannot be imported"
            raise ImportError(msg)
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
        module = module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return PluginInfo(name=path.stem.replace("_", "-").lower(), module=str(path)), source
