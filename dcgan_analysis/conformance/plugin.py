"""Everything that a plugin registers, checked against its contract: ``dcgan-analyze plugins check NAME``."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dcgan_analysis.errors import AnalysisError, DatasetError, DcganAnalysisError, describe_error, unknown_name
from dcgan_analysis.host.loading import FAILURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.api.analysis import Analysis, AnalysisConfig
    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.api.result import Result
    from dcgan_analysis.checkpoints.importers.contract import WeightImporter
    from dcgan_analysis.core.progress import Progress
    from dcgan_analysis.host.host import PluginHost, PluginInfo


@dataclass(frozen=True)
class Check:
    """What one check came to.

    Attributes:
        kind: ``analysis``, ``architecture``, ``command``, ``dataset``, ``importer``, or ``hook``: an observer of runs
            or a section of reports.
        name: Of what was checked.
        state: ``passed``, ``failed``, or ``skipped`` where it needs what is not there.
        message: Why it did not pass; empty where it did.
    """

    kind: str
    name: str
    state: Literal["passed", "failed", "skipped"]
    message: str = ""

    def document(self) -> dict[str, str]:
        """Return it as JSON-serialisable values."""
        return asdict(self)


def check_plugin(name: str, host: PluginHost, *, progress: Progress) -> list[Check]:
    """Check everything that a plugin registers or observes.

    Analyses run on the tiny networks and made-up images of the testing kit, under the settings of their ``demo`` where
    they have one. Observers and sections see a small run of another analysis.

    Args:
        name: Name of the plugin, as ``dcgan-analyze plugins`` lists it.
        host: Where it is loaded.
        progress: Told of checks done.

    Returns:
        One check for each thing that it registers, and for each hook by which it observes runs.

    Raises:
        AnalysisError: If the plugin failed to load, or is disabled.
        UnknownNameError: If there is no such plugin.
    """
    info = _loaded(name, host)
    checks: list[tuple[str, str, Callable[[], object]]] = []
    for entry in info.registered.get("architectures", ()):
        checks.append(("architecture", entry, partial(_check_architecture, host, entry)))
    for entry in info.registered.get("datasets", ()):
        checks.append(("dataset", entry, partial(_check_dataset, host, entry)))
    for entry in info.registered.get("analyses", ()):
        checks.append(("analysis", entry, partial(_check_analysis, host.analyses[entry])))
    for entry in info.registered.get("importers", ()):
        importer = host.importers[entry]
        checks.append(("importer", entry, partial(_check_importer, importer, host)))
    for entry in info.registered.get("commands", ()):
        checks.append(("command", entry, partial(_check_command, host, entry)))
    for hook in info.hooks:
        if not hook.startswith("dcgan_register_"):
            checks.append(("hook", hook, partial(_check_observer, host, name, hook)))
    outcomes = []
    for number, (kind, entry, run) in enumerate(checks):
        progress(f"checks of {name}", number, len(checks))
        outcomes.append(_outcome(kind, entry, run))
    progress(f"checks of {name}", len(checks), len(checks))
    return outcomes


def _loaded(name: str, host: PluginHost) -> PluginInfo:
    plugins = {info.name: info for info in host.plugins}
    if name not in plugins:
        error = unknown_name("plugin", name, plugins)
        raise error
    info = plugins[name]
    if info.state != "loaded":
        state = "failed to load" if info.state == "failed" else "is disabled"
        reason = info.error or "DCGAN_ANALYSIS_PLUGINS does not name it."
        msg = f"Plugin '{name}' {state}; nothing to check. {reason}"
        raise AnalysisError(msg)
    return info


def _outcome(kind: str, name: str, run: Callable[[], object]) -> Check:
    try:
        run()
    except DatasetError as error:
        # Files of a dataset that are not on this machine say nothing of the plugin.
        return Check(kind, name, "skipped" if kind == "dataset" else "failed", str(error))
    except (DcganAnalysisError, AssertionError) as error:
        return Check(kind, name, "failed", str(error))
    except FAILURES as error:
        return Check(kind, name, "failed", describe_error(error))
    return Check(kind, name, "passed")


def _check_architecture(host: PluginHost, name: str) -> object:
    from dcgan_analysis.conformance.entries import check_architecture

    entry = host.architectures[name]
    # Full widths take minutes on a small machine and check nothing more.
    small: dict[str, Any] = {key: 4 for key in ("width",) if key in entry.defaults()}
    return check_architecture(entry, **small)


def _check_dataset(host: PluginHost, name: str) -> object:
    from dcgan_analysis.conformance.entries import check_dataset

    return check_dataset(host.datasets[name])


def _check_importer(importer: WeightImporter, host: PluginHost) -> None:
    from dcgan_analysis.conformance.entries import check_importer

    check_importer(importer, host.architectures)


def _check_command(host: PluginHost, name: str) -> object:
    import click

    command = host.command(name)
    # A callback's parameters and its help are only looked at when somebody asks.
    return command.get_help(click.Context(command, info_name=name))


class _Brightness:
    """A run to observe: short, with a dataset and a checkpoint."""

    name, summary, question, reference = "brightness", "Brightness of images", "How bright are the images?", "none"

    def __init__(self) -> None:
        from dcgan_analysis.api.analysis import AnalysisConfig, Needs

        self.config_type = AnalysisConfig
        self.needs = Needs(splits=("test",))

    def run(self, context: RunContext, config: AnalysisConfig) -> Result:
        from dcgan_analysis.api.result import Metric

        images = context.split("test").images
        metric = Metric(value=float(images.mean()) / 255, n=len(images), higher_is_better=None)
        return context.result(title=self.summary, headline="mean", metrics={"mean": metric})


def _check_observer(host: PluginHost, name: str, hook: str) -> object:
    """Let a plugin observe a small run by one hook; whatever the run's result warns of is the plugin's doing."""
    from dcgan_analysis.conformance.images import make_dataset
    from dcgan_analysis.conformance.tiny import make_checkpoint
    from dcgan_analysis.runs.run import run

    with tempfile.TemporaryDirectory(prefix="dcgan-analysis-check-") as folder:
        result = run(
            _Brightness(),
            checkpoint=make_checkpoint(),
            dataset=make_dataset(),
            out=Path(folder) / "run",
            cache_dir=folder,
            host=host.with_one_hook(name, hook),
        )
    if result.warnings:
        raise AssertionError(result.warnings[0])
    return result


def _check_analysis(analysis: Analysis) -> object:
    from dcgan_analysis.conformance.checks import check_analysis
    from dcgan_analysis.conformance.images import make_dataset
    from dcgan_analysis.conformance.tiny import make_checkpoint, make_context

    needs = analysis.needs
    wants_model = bool(needs.checkpoint or needs.generator or needs.discriminator or needs.taps)
    checkpoint = make_checkpoint(conditional=needs.conditional is True) if wants_model else None
    shape = checkpoint.architecture.image_shape if checkpoint else (3, 32, 32)
    # Enough for whatever an analysis says that it needs.
    dataset = make_dataset(train=max(60, needs.images), test=max(30, needs.images), shape=shape)
    settings = getattr(getattr(analysis, "demo", None), "settings", {})
    with tempfile.TemporaryDirectory(prefix="dcgan-analysis-check-") as folder:
        context = make_context(Path(folder), checkpoint=checkpoint, dataset=dataset)
        return check_analysis(analysis, context, settings)
