"""The hooks: everything a plugin can add to, or observe in, dcgan-analysis.

A plugin is a module (or an instance) named by an entry point of the group ``dcgan_analysis``. It
implements any of the functions below under the same name, marked ``@dcgan_analysis.hookimpl``, and
may take fewer arguments than the hook offers. Arguments are passed by name: the names are part of
the interface. ``docs/hooks.md`` has an example of each hook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.api.analysis import Analysis, AnalysisConfig
    from dcgan_analysis.api.command import CommandEntry
    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.api.result import Result, Section
    from dcgan_analysis.checkpoints.importers.contract import WeightImporter
    from dcgan_analysis.data.registry import DatasetEntry
    from dcgan_analysis.models.registry import ArchitectureEntry

__all__ = [
    "OLDEST_API_VERSION",
    "dcgan_after_run",
    "dcgan_before_run",
    "dcgan_register_analyses",
    "dcgan_register_architectures",
    "dcgan_register_commands",
    "dcgan_register_datasets",
    "dcgan_register_importers",
    "dcgan_report_sections",
]

PROJECT = "dcgan_analysis"
"""pluggy's project name, and the entry-point group."""

API_VERSION = 1
"""Grows when a hook, an argument or a public member goes away or changes its meaning; see docs/plugin-api.md."""

OLDEST_API_VERSION = 1
"""Plugins that were written for this version, or a later one up to ``API_VERSION``, are loaded."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Contribute analyses.

    Called once for each plugin while the plugins are loaded, before any command runs. Importing the
    plugin must be cheap: import torch, captum or scikit-learn inside the analysis, not at module
    level.

    Args:
        register: Call it as ``register(analysis)``, once for each analysis; it takes an instance of
            anything that has the members of :class:`dcgan_analysis.api.Analysis`.

    Returns:
        Nothing; a returned value is ignored.

    Raises:
        RegistrationError: By ``register``, if a member is missing or of the wrong type, or the name
            is malformed or taken (both owners are named). The plugin then counts as failed and
            nothing of it stays registered.

    .. versionadded:: 0.1
    """


@hookspec
def dcgan_register_datasets(register: Callable[[DatasetEntry], None]) -> None:
    """Contribute datasets, to be named after ``--dataset``.

    Called once for each plugin while the plugins are loaded. The entry holds a loader; it is
    called, and images are read, when the dataset is first used.

    Args:
        register: Call it as ``register(entry)`` with a
            :class:`dcgan_analysis.data.registry.DatasetEntry`, once for each dataset.

    Returns:
        Nothing; a returned value is ignored.

    Raises:
        RegistrationError: By ``register``, if the entry is of another type, or its name is
            malformed or taken.

    .. versionadded:: 0.1
    """


@hookspec
def dcgan_register_architectures(register: Callable[[ArchitectureEntry], None]) -> None:
    """Contribute architectures, so that other networks can be trained, loaded and analysed.

    Called once for each plugin while the plugins are loaded. The entry's ``build`` makes the layer
    tables from parameters; modules are made when a checkpoint is loaded or a training starts.

    Args:
        register: Call it as ``register(entry)`` with a
            :class:`dcgan_analysis.models.registry.ArchitectureEntry`, once for each architecture.

    Returns:
        Nothing; a returned value is ignored.

    Raises:
        RegistrationError: By ``register``, if the entry is of another type, or its name is
            malformed or taken.

    .. versionadded:: 0.1
    """


@hookspec
def dcgan_register_importers(register: Callable[[WeightImporter], None]) -> None:
    """Contribute readers of foreign weight files, which turn them into checkpoints.

    Called once for each plugin while the plugins are loaded.

    Args:
        register: Call it as ``register(entry)`` with a
            :class:`dcgan_analysis.checkpoints.importers.contract.WeightImporter`, once for each importer.

    Returns:
        Nothing; a returned value is ignored.

    Raises:
        RegistrationError: By ``register``, if the entry is of another type, or its name is
            malformed or taken.

    .. versionadded:: 0.1
    """


@hookspec
def dcgan_register_commands(register: Callable[[CommandEntry], None]) -> None:
    """Contribute subcommands of ``dcgan-analyze``.

    Called once for each plugin while the plugins are loaded. The command itself is made when it is
    called; ``dcgan-analyze --help`` shows its name and summary alone.

    Args:
        register: Call it as ``register(entry)`` with a :class:`dcgan_analysis.api.CommandEntry`,
            once for each command.

    Returns:
        Nothing; a returned value is ignored.

    Raises:
        RegistrationError: By ``register``, if the entry is of another type, or its name is
            malformed, taken, or that of a command of dcgan-analysis.

    .. versionadded:: 0.1
    """


@hookspec
def dcgan_before_run(analysis: Analysis, config: AnalysisConfig, context: RunContext) -> None:
    """Observe that an analysis is about to run.

    Called once for each run, after the configuration and what the analysis needs were checked, and
    right before its ``run`` is called. Plugins are called in the order in which they were loaded.

    Args:
        analysis: The analysis.
        config: Its settings, frozen.
        context: What the analysis will work with.

    Returns:
        Nothing; a returned value is ignored.

    Raises:
        Exception: Anything raised becomes a warning in the result; other observers and the run
            itself go on.

    .. versionadded:: 0.1
    """


@hookspec
def dcgan_report_sections(
    analysis: Analysis, context: RunContext, result: Result, add: Callable[[Section], None]
) -> None:
    """Add sections to the report of any analysis.

    Called once for each run, after the analysis and before result.json and report.html are
    written, in the order in which plugins were loaded. Figures are saved with
    ``context.save_figure``, which returns what a section takes.

    Args:
        analysis: The analysis.
        context: What it worked with.
        result: A copy of its result: changes are not kept.
        add: Call it as ``add(section)`` with a :class:`dcgan_analysis.api.Section`, once for each
            section. Text is shown as it stands, never as HTML.

    Returns:
        Nothing; a returned value is ignored.

    Raises:
        Exception: Anything raised, by ``add`` as well for a section that cannot be shown, becomes a
            warning in the result; sections added before stay, and the run goes on.

    .. versionadded:: 0.1
    """


@hookspec
def dcgan_after_run(analysis: Analysis, context: RunContext, result: Result) -> None:
    """Observe that an analysis has finished: the place for loggers and exporters.

    Called once for each finished run, when its folder ``result.folder`` is complete; not called for
    a run that failed or was interrupted. Plugins are called in the order in which they were loaded.

    Args:
        analysis: The analysis.
        context: What it worked with.
        result: Its result; read it, do not change it.

    Returns:
        Nothing; a returned value is ignored.

    Raises:
        Exception: Anything raised becomes a warning that is shown; other observers are called all
            the same.

    .. versionadded:: 0.1
    """
