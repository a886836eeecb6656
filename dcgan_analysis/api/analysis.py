"""The contract of an analysis: its settings, what it needs, six attributes and one method; three more are optional."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from dcgan_analysis.core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.api.result import Result


class AnalysisConfig(Settings):
    """Base class of every analysis's settings; ``run NAME --help`` lists its fields with their defaults.

    Example:
        >>> class Hello(AnalysisConfig):
        ...     times: int = 1
        >>> Hello.build({"times": 3}).times
        3
    """


@dataclass(frozen=True)
class Needs:
    """What an analysis needs; the runner checks it before any long work and lists everything that is missing.

    Features are cached by content: analyses that read the same taps on the same grid of the same images share one
    extraction, whether they run in one command or on different days.

    Attributes:
        checkpoint: Name of the default checkpoint; None: the analysis needs no checkpoint.
        dataset: Name of the default dataset; None: the analysis needs no dataset.
        splits: Splits that the dataset must have.
        labels: Whether the images must have labels of at least two classes.
        generator: Whether the checkpoint must hold a generator.
        discriminator: Whether the checkpoint must hold a discriminator.
        conditional: Whether the networks must be conditioned on classes; None: it does not matter.
        images: Minimum number of images in each of ``splits``.
        samples: Number of images drawn from the generator; more than 0 implies ``generator``.
        taps: Names of the layers whose activations it reads; each must be a layer of the checkpoint's networks.
        grid: Cells per side of the grid to which discriminator features are pooled, of all conv layers unless ``taps``
            names some; implies ``discriminator``. None: no pooled features are used.
        fit: How images of ``splits`` enter the networks: ``"exact"``, they must have the networks' shape; ``"resize"``,
            they are brought to it. Where ``discriminator`` is set and takes labels, they must have labels of its
            classes. None: they enter none.
        packages: Names of packages to import, beyond what dcgan-analysis itself depends on.

    Example:
        >>> Needs(dataset="digits", splits=("train", "test"), labels=True, grid=4).discriminator
        True
    """

    checkpoint: str | None = None
    dataset: str | None = None
    splits: tuple[str, ...] = ()
    labels: bool = False
    generator: bool = False
    discriminator: bool = False
    conditional: bool | None = None
    images: int = 0
    samples: int = 0
    taps: tuple[str, ...] = ()
    grid: int | None = None
    fit: Literal["exact", "resize"] | None = None
    packages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # The dataclass is frozen, so implied fields are set through object.
        if self.samples:
            object.__setattr__(self, "generator", True)
        if self.grid is not None:
            object.__setattr__(self, "discriminator", True)


@dataclass(frozen=True)
class Demo:
    """How an analysis is demonstrated in seconds, offline, on embedded data.

    An analysis may have a class attribute ``demo`` of this type; ``dcgan-analyze demo --all`` runs every one that has.

    Attributes:
        checkpoint: A shipped checkpoint; None: the analysis's own default.
        dataset: An embedded dataset; None: the analysis's own default.
        settings: Settings that keep the run short.
        limit: Maximum number of images of each split; None: all.
    """

    checkpoint: str | None = None
    dataset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None


@runtime_checkable
class Analysis(Protocol):
    """What a plugin registers: any object with these members; no base class is needed.

    The members are read-only here so that plain class attributes of these types, or narrower ones, fit. An analysis
    may also have

    - an attribute ``demo``, see :class:`Demo`;
    - a method ``requires(config) -> Needs``: what it needs under these settings, where that differs from ``needs``;
    - a method ``checks(context, config)``: quick calls, each of which raises a ``DcganAnalysisError`` where the run
      could not go on: boxes that are absent, a class with too few images. Their errors and all that is missing of its
      needs are said in one message before the run starts. The context lacks a checkpoint or a dataset that does not
      have what is needed, and calls that ask for it are passed over.
    """

    @property
    def name(self) -> str:
        """Unique; lower-case words joined by hyphens: ``"svm-cifar"``."""
        ...

    @property
    def summary(self) -> str:
        """One line, shown by ``dcgan-analyze list``."""
        ...

    @property
    def question(self) -> str:
        """The question it answers, one sentence, shown at the top of the report."""
        ...

    @property
    def reference(self) -> str:
        """Paper section and URL."""
        ...

    @property
    def config_type(self) -> type[AnalysisConfig]:
        """Class of its settings."""
        ...

    @property
    def needs(self) -> Needs:
        """What it needs by default."""
        ...

    def run(self, context: RunContext, config: Any) -> Result:
        """Run the analysis.

        Args:
            context: Data, model, device, random generators, progress and the run folder.
            config: An instance of ``config_type``.

        Returns:
            What ``context.result(...)`` builds.
        """
        ...


def needs_of(analysis: Analysis, config: AnalysisConfig) -> Needs:
    """Return what an analysis needs under these settings: what its ``requires`` says if it has one, else ``needs``."""
    requires = getattr(analysis, "requires", None)
    if requires is None:
        return analysis.needs
    needs: Needs = requires(config)
    return needs


def checks_of(analysis: Analysis, context: RunContext, config: AnalysisConfig) -> Iterable[Callable[[], object]]:
    """Return what an analysis's ``checks`` returns if it has one, else nothing."""
    checks = getattr(analysis, "checks", None)
    if checks is None:
        return ()
    calls: Iterable[Callable[[], object]] = checks(context, config)
    return calls
