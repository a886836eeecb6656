"""Requests for runs: of one analysis, settings distributed among several, demonstrations."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dcgan_analysis.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dcgan_analysis.api.analysis import Analysis
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import Dataset
    from dcgan_analysis.host.host import PluginHost


REESTIMATE = ("batchnorm", "reestimate")
"""A setting, and its value, of every run with a checkpoint, whatever the settings of its analysis: as on import."""


@dataclass(frozen=True)
class RunRequest:
    """Request for one run: which analysis, with what settings, on what, and where its result goes.

    Attributes:
        analysis: A registered name, or any object that keeps the contract ``dcgan_analysis.api.Analysis``; empty in
            a template for several runs.
        settings: Settings of the analysis; omitted ones have their defaults. ``{"batchnorm": "reestimate"}``, whatever
            the analysis: the statistics of the checkpoint's batch normalisation are estimated anew before it runs.
        checkpoint: Name, path, hash or object; the analysis's own default if None.
        dataset: Name, path or object; the analysis's own default if None.
        data_root: Folder with data sets; ``DCGAN_ANALYSIS_DATA`` or the user's data folder if None.
        out: The run folder; ``runs/<analysis>-<UTC time>`` if None.
        seed: Seed of all randomness, at least 0.
        limit: Maximum number of images of each split; the result is then labelled a smoke run. None: all.
        device: ``auto``, ``cpu``, ``cuda``, or one GPU of several: ``cuda:1``.
        memory: GB (10^9 bytes) that the process may hold, mapped files included; None: no limit.
        force: Whether an existing run folder may be replaced.
        cache_dir: Folder of the feature stores; the default cache if None.

    Raises:
        ConfigError: If the seed or the limit is out of range.

    Example:
        >>> RunRequest("svm-cifar", {"draws": 3}, dataset="digits").name
        'svm-cifar'
    """

    analysis: str | Analysis = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str | Path | Checkpoint | None = None
    dataset: str | Path | Dataset | None = None
    data_root: str | Path | None = None
    out: str | Path | None = None
    seed: int = 0
    limit: int | None = None
    device: str = "auto"
    memory: float | None = None
    force: bool = False
    cache_dir: str | Path | None = None

    def __post_init__(self) -> None:
        if self.seed < 0 or (self.limit is not None and self.limit < 1):
            msg = f"seed must be >= 0 and limit >= 1, got seed {self.seed} and limit {self.limit}."
            raise ConfigError(msg)

    @property
    def name(self) -> str:
        """Name of the analysis."""
        return self.analysis if isinstance(self.analysis, str) else self.analysis.name

    @property
    def reestimates(self) -> bool:
        """Whether the checkpoint's batch-normalisation statistics are to be estimated anew."""
        return REESTIMATE in self.settings.items()

    @property
    def own_settings(self) -> dict[str, Any]:
        """The settings of the analysis itself."""
        return {key: value for key, value in self.settings.items() if (key, value) != REESTIMATE}

    def over(self, template: RunRequest) -> RunRequest:
        """Return this request with all fields that have their default values taken from ``template``.

        Example:
            >>> request = RunRequest("pixels", limit=6).over(RunRequest(dataset="digits", limit=12, seed=1))
            >>> request.name, request.dataset, request.limit, request.seed
            ('pixels', 'digits', 6, 1)
        """
        defaults = vars(RunRequest())
        return replace(template, **{name: value for name, value in vars(self).items() if value != defaults[name]})


def settings_by_analysis(analyses: Sequence[Analysis], settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Distribute settings: one that names an analysis applies to it only, any other to all that have it.

    Raises:
        ConfigError: If a setting belongs to no analysis.

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
        takers = [name for name in shared if key in fields[name] or (key, value) == REESTIMATE]
        if not takers:
            msg = str(unknown_name("setting", key, {field for known in fields.values() for field in known}))
            raise ConfigError(msg)
        for taker in takers:
            shared[taker][key] = value
    return {name: shared[name] | own[name] for name in shared}


def demo_requests(host: PluginHost) -> list[RunRequest]:
    """Return a request for each registered analysis that has a ``Demo``."""
    demos = {name: getattr(host.analyses[name], "demo", None) for name in host.analyses}
    return [
        RunRequest(name, demo.settings, demo.checkpoint, demo.dataset, limit=demo.limit)
        for name, demo in demos.items()
        if demo is not None
    ]
