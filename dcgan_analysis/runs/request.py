"""What is to be run in one go: jobs, settings shared out among analyses, the demonstrations that are installed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dcgan_analysis.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dcgan_analysis.api.analysis import Analysis
    from dcgan_analysis.data.dataset import Dataset
    from dcgan_analysis.host.host import PluginHost
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint

__all__ = ["Job", "demo_jobs", "settings_by_analysis"]


@dataclass(frozen=True)
class Job:
    """One analysis of several, with what is its own; what is None is that of the whole command.

    Attributes:
        analysis: A registered name, or an object that keeps the contract.
        settings: Its settings.
        checkpoint: Name, path, hash or object.
        dataset: Name, path or object.
        limit: At most so many images of each split.
    """

    analysis: str | Analysis
    settings: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str | Path | Checkpoint | None = None
    dataset: str | Path | Dataset | None = None
    limit: int | None = None

    @property
    def name(self) -> str:
        """Name of the analysis."""
        return self.analysis if isinstance(self.analysis, str) else self.analysis.name


def settings_by_analysis(analyses: Sequence[Analysis], settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Share settings out: one that names an analysis goes to it alone, any other to all that have it.

    Raises:
        ConfigError: If no analysis has a setting.

    Example:
        >>> from dcgan_analysis.host.host import load_plugins
        >>> host = load_plugins("")
        >>> both = [host.analysis("svm-cifar"), host.analysis("pixels")]
        >>> settings_by_analysis(both, {"draws": 3, "pixels.epsilon": 0.2})
        {'svm-cifar': {'draws': 3}, 'pixels': {'draws': 3, 'epsilon': 0.2}}
    """
    shared: dict[str, dict[str, Any]] = {analysis.name: {} for analysis in analyses}
    fields = {analysis.name: analysis.config_type.model_fields for analysis in analyses}
    own: dict[str, dict[str, Any]] = {name: {} for name in shared}
    for key, value in settings.items():
        name, dot, setting = key.partition(".")
        if name in own and (dot or isinstance(value, dict)):
            own[name] |= {setting: value} if dot else value
            continue
        takers = [name for name in shared if key in fields[name]]
        if not takers:
            msg = str(unknown_name("setting", key, {field for known in fields.values() for field in known}))
            raise ConfigError(msg)
        for taker in takers:
            shared[taker][key] = value
    return {name: shared[name] | own[name] for name in shared}


def demo_jobs(host: PluginHost) -> list[Job]:
    """Return a job for each registered analysis that says how it is demonstrated (``Demo``)."""
    demos = {name: getattr(host.analyses[name], "demo", None) for name in host.analyses}
    return [
        Job(name, demo.settings, demo.checkpoint, demo.dataset, demo.limit)
        for name, demo in demos.items()
        if demo is not None
    ]
