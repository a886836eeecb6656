"""The plugin host: loads plugins one by one, keeps what they register, and lets none harm another.

A factory makes a host; nothing is loaded when this module is imported. The rest of the framework
calls the typed methods of :class:`PluginHost` and never pluggy itself.

Example:
    >>> host = load_plugins("")  # only what dcgan-analysis brings itself
    >>> "digits" in host.datasets
    True
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import redirect_stdout
from copy import copy
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_analysis.checkpoints.importers.contract import WeightImporter
from dcgan_analysis.core.registry import Registry
from dcgan_analysis.data.registry import DatasetEntry
from dcgan_analysis.errors import AnalysisError, RegistrationError, describe_error
from dcgan_analysis.host.checks import Registrar, build_manager, check_command, check_entry, check_members
from dcgan_analysis.host.declared import declared_by, loading
from dcgan_analysis.host.loading import (
    FAILURES,
    SELECT_VARIABLE,
    CorePlugin,
    PluginInfo,
    core_info,
    file_plugin,
    find_entry_points,
    may_bring,
    parse_selection,
    plugin_files,
)
from dcgan_analysis.models.registry import ArchitectureEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import click
    from pluggy import PluginManager

    from dcgan_analysis.api.analysis import Analysis, AnalysisConfig
    from dcgan_analysis.api.command import CommandEntry
    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.api.result import Result, Section

__all__ = ["PluginHost", "PluginInfo", "default_host", "load_plugins"]


class PluginHost:
    """All plugins and what they registered. Made empty; :func:`load_plugins` makes a full one.

    Attributes:
        analyses: Registered analyses by name.
        datasets: Registered datasets by name.
        architectures: Registered architectures by name.
        importers: Registered readers of foreign weights by name.
        commands: Registered subcommands by name, those of the framework itself left out.
    """

    def __init__(self) -> None:
        self.analyses: Registry[Analysis] = Registry("analysis", self._failed)
        self.datasets: Registry[DatasetEntry] = Registry("dataset", self._failed)
        self.architectures: Registry[ArchitectureEntry] = Registry("architecture", self._failed)
        self.importers: Registry[WeightImporter] = Registry("importer", self._failed)
        self.commands: Registry[CommandEntry] = Registry("command", self._failed)
        self._plugins: list[PluginInfo] = []
        self._managers: dict[str, PluginManager] = {}
        self._reserved: dict[str, str] = {}

    @property
    def plugins(self) -> list[PluginInfo]:
        """All plugins in the order of loading, with the failed and the disabled ones."""
        return list(self._plugins)

    @property
    def failures(self) -> list[PluginInfo]:
        """The plugins that could not be loaded."""
        return [info for info in self._plugins if info.state == "failed"]

    def _failed(self) -> list[str]:
        return [info.name for info in self.failures]

    def register(self, plugin: object, name: str) -> PluginInfo:
        """Add a plugin by hand, as tests and programs do.

        Args:
            plugin: A module or an instance with hook implementations.
            name: Its name, unique among the loaded plugins.

        Returns:
            What it registered.

        Raises:
            RegistrationError: If it breaks the contract; nothing of it stays registered.
        """
        info = self._admit(plugin, PluginInfo(name=name))
        self._plugins.append(info)
        return info

    def reserve(self, infos: Iterable[PluginInfo]) -> None:
        """Keep for each plugin that is to be loaded the analysis of its own name: a namesake cannot take it away."""
        for info in infos:
            self._reserved.setdefault(info.name, info.owner)

    def load(self, info: PluginInfo, source: Callable[[], object]) -> None:
        """Register the plugin that ``source`` returns; if that fails, keep the reason and go on."""
        start = time.perf_counter()
        try:
            # Standard output belongs to the result document (--json), whatever a plugin prints.
            with redirect_stdout(sys.stderr), loading():
                plugin = source()
                info = replace(info, seconds=round(time.perf_counter() - start, 3))
                loaded = self._admit(plugin, info)
        except RegistrationError as error:
            cause = error.__cause__ or error
            loaded = replace(info, state="failed", error=str(error), cause=cause)
        except FAILURES as error:
            msg = f"{info.title} could not be loaded: {describe_error(error)}. Other plugins are not affected."
            loaded = replace(info, state="failed", error=msg, cause=error)
        self._plugins.append(loaded)

    def disable(self, info: PluginInfo) -> None:
        """Note an installed plugin that the user did not select; it is not imported."""
        self._plugins.append(replace(info, state="disabled"))

    def analysis(self, name: str) -> Analysis:
        """Return an analysis by name.

        Raises:
            AnalysisError: If the plugin of this name failed (with the reason as its cause) or is
                disabled.
            UnknownNameError: If there is no such analysis.
        """
        for info in self._plugins if name not in self.analyses else ():
            if info.name == name and info.state == "failed":
                msg = f"Analysis '{name}' is not available. {info.error}"
                raise AnalysisError(msg) from info.cause
            if info.name == name and info.state == "disabled":
                msg = (
                    f"Analysis '{name}' is not available: "
                    f"{SELECT_VARIABLE} does not name plugin '{name}'. Add it there."
                )
                raise AnalysisError(msg)
        return self.analyses[name]

    def command(self, name: str) -> click.Command:
        """Let a plugin make its command.

        Raises:
            AnalysisError: If it fails, or makes something else.
            UnknownNameError: If there is no such command.
        """
        import click

        what = f"Command '{name}' of {self.commands.owner(name)} could not be loaded"
        try:
            command: object = self.commands[name].load()
        except FAILURES as error:
            msg = f"{what}: {describe_error(error)}. Other commands work."
            raise AnalysisError(msg) from error
        if not isinstance(command, click.Command):
            msg = f"{what}: it is {command!r}, not a click.Command."
            raise AnalysisError(msg)
        return command

    def with_one_hook(self, name: str, hook: str) -> PluginHost:
        """Return a host of the same registries in which one plugin alone observes runs, by one hook."""
        alone = copy(self)
        alone._plugins = [replace(info, hooks=(hook,)) for info in self._plugins if info.name == name]
        return alone

    def plugin_of(self, analysis: Analysis) -> PluginInfo | None:
        """Return the plugin that registered this very object; None: it was given by a program."""
        if analysis.name not in self.analyses or self.analyses[analysis.name] is not analysis:
            return None
        owner = self.analyses.owner(analysis.name)
        return next((info for info in self._plugins if info.owner == owner), None)

    def before_run(self, analysis: Analysis, config: AnalysisConfig, context: RunContext) -> list[str]:
        """Tell all observers that a run begins.

        Returns:
            One line for each observer that failed; the run is to go on.
        """
        arguments = {"analysis": analysis, "config": config, "context": context}
        return self._observe("dcgan_before_run", lambda info: arguments)

    def report_sections(
        self, analysis: Analysis, context: RunContext, result: Result, check: Callable[[Section], None]
    ) -> tuple[list[Section], list[str]]:
        """Collect what plugins add to the report of a run.

        Args:
            analysis: The analysis.
            context: What it worked with.
            result: What it found; each plugin gets a copy.
            check: Called with each section; raises if it cannot be shown.

        Returns:
            The sections, each with its owner, and one line for each plugin that failed.
        """
        sections: list[Section] = []

        def arguments(info: PluginInfo) -> dict[str, Any]:
            def add(section: Section) -> None:
                check(section)
                sections.append(section.model_copy(update={"owner": info.owner}))

            copy = result.model_copy(deep=True)
            return {"analysis": analysis, "context": context, "result": copy, "add": add}

        return sections, self._observe("dcgan_report_sections", arguments)

    def after_run(self, analysis: Analysis, context: RunContext, result: Result) -> list[str]:
        """Tell all observers that a run is done.

        Returns:
            One line for each observer that failed.
        """
        arguments = {"analysis": analysis, "context": context, "result": result}
        return self._observe("dcgan_after_run", lambda info: arguments)

    def _observe(self, hook: str, arguments: Callable[[PluginInfo], dict[str, Any]]) -> list[str]:
        warnings = []
        for info in self._plugins:
            if hook not in info.hooks:
                continue
            try:
                getattr(self._managers[info.name].hook, hook)(**arguments(info))
            except FAILURES as error:
                warnings.append(f"{info.title} failed in {hook}: {describe_error(error)}. The run went on.")
        return warnings

    def _admit(self, plugin: object, info: PluginInfo) -> PluginInfo:
        for known in self._plugins:
            if known.name == info.name and known.state == "loaded":
                msg = (
                    f"Plugin name '{info.name}' is used twice: by {known.owner} "
                    f"and by {info.owner}. The first is loaded; uninstall one of the two."
                )
                raise RegistrationError(msg)
        declared = declared_by(plugin)
        manager = build_manager(plugin, info, declares=bool(declared))
        try:
            registered = self._collect(manager, info, declared)
        except BaseException:
            for registry in (self.analyses, self.datasets, self.architectures, self.importers, self.commands):
                registry.remove_owner(info.owner)
            raise
        self._managers[info.name] = manager
        hooks = sorted(caller.name for caller in manager.get_hookcallers(plugin) or [])
        return replace(info, state="loaded", hooks=tuple(hooks), registered=registered)

    def _collect(
        self, manager: PluginManager, info: PluginInfo, declared: Iterable[ArchitectureEntry]
    ) -> dict[str, tuple[str, ...]]:
        owner = info.owner
        registrars: dict[str, Registrar[Any]] = {
            "architectures": Registrar(self.architectures, partial(check_entry, ArchitectureEntry), owner),
            "datasets": Registrar(self.datasets, partial(check_entry, DatasetEntry), owner),
            "importers": Registrar(self.importers, partial(check_entry, WeightImporter), owner),
            "analyses": Registrar(self.analyses, check_members, owner, self._reserved),
            "commands": Registrar(self.commands, check_command, owner),
        }
        for kind, registrar in registrars.items():
            hook = f"dcgan_register_{kind}"
            try:
                getattr(manager.hook, hook)(register=registrar)
            except RegistrationError:
                raise
            except FAILURES as error:
                msg = f"{info.title} failed in {hook}: {describe_error(error)}. Nothing of it is registered."
                raise RegistrationError(msg) from error
            for entry in declared if kind == "architectures" else ():
                # Its hook may register what it declared.
                if entry.name not in registrar.names:
                    registrar(entry)
            registrar.close()
        return {kind: tuple(registrar.names) for kind, registrar in registrars.items() if registrar.names}


def load_plugins(
    select: str | None = None, *, hook: str | None = None, files: Sequence[str | Path] | None = None
) -> PluginHost:
    """Make a host with everything that is installed.

    Args:
        select: Names of the plugins to load beside the built-in ones, joined by commas; empty:
            none. None: what the environment variable ``DCGAN_ANALYSIS_PLUGINS`` says, and all where
            it is not set.
        hook: Load only plugins that may implement this hook: a listing of commands need not import every analysis.
        files: Python files that are plugins as well. None: those of ``DCGAN_ANALYSIS_PLUGIN_FILES``, joined as in
            ``PATH``.

    Returns:
        A new host; installed plugins that failed are listed in its ``failures``.

    Raises:
        ConfigError: If the selection names a plugin that is not installed, or a file does not exist.
        RegistrationError: If a file that was named cannot be loaded.
    """
    entry_points = find_entry_points()
    text = os.environ.get(SELECT_VARIABLE) if select is None else select
    chosen = parse_selection(text, [info for info, _ in entry_points])
    host = PluginHost()
    host.load(core_info(), CorePlugin)
    selected = [info for info, _ in entry_points if info.builtin or chosen is None or info.name in chosen]
    host.reserve(selected)
    for info, entry_point in entry_points:
        if hook is not None and not may_bring(entry_point, hook):
            continue
        if info in selected:
            host.load(info, entry_point.load)
        else:
            host.disable(info)
    for path in plugin_files() if files is None else map(Path, files):
        info, source = file_plugin(path)
        host.load(info, source)
        loaded = host.plugins[-1]
        if loaded.state == "failed":
            raise RegistrationError(loaded.error) from loaded.cause
    return host


@cache
def default_host(hook: str | None = None) -> PluginHost:
    """Return the host that library calls share: loaded on first use, once for each process.

    Args:
        hook: As of :func:`load_plugins`.
    """
    return load_plugins(hook=hook)
