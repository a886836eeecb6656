"""A figure of the paper from a finished run, from one that is made, or from samples; with all that repeats it."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan_analysis import figures
from dcgan_analysis.checkpoints.sampling import Sampler, check_classes
from dcgan_analysis.core.device import choose_device
from dcgan_analysis.core.files import atomic_path, write_text
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.core.text import count, short_hash
from dcgan_analysis.data.splits import by_class
from dcgan_analysis.errors import AnalysisError, ConfigError
from dcgan_analysis.runs.finished import FinishedRuns
from dcgan_analysis.runs.request import RunRequest
from dcgan_analysis_plugins.paper_figures.published import BASELINE, FIGURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from matplotlib.figure import Figure

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import Dataset
    from dcgan_analysis.host.host import PluginHost
    from dcgan_analysis_plugins.paper_figures.published import PublishedFigure

_COLUMNS, _ROWS = 12, 8  # of a sheet
_EACH = 10  # digits of a class
_DOTS = 1600  # width up to which a sheet is enlarged


@dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper as this program makes it.

    Attributes:
        number: Its number in the paper.
        title: What the paper's figure shows.
        path: The picture, a PNG file.
        caption: What is to be seen, of which network, with which seed.
        remark: What sets it apart from the paper's.
        checkpoints: Name and hash of each network.
        seed: Of all randomness.
        command: What repeats it.
        run: Folder of the run that it is of, or None.
    """

    number: int
    title: str
    path: str
    caption: str
    remark: str
    checkpoints: tuple[dict[str, str], ...]
    seed: int
    command: str
    run: str | None = None

    def as_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)


def make_figure(
    number: int,
    folder: str | Path,
    request: RunRequest | None = None,
    *,
    gather_only: bool = False,
    host: PluginHost | None = None,
    progress: Progress = silent,
) -> PaperFigure:
    """Make one of the paper's figures: ``figure-N.png`` in the folder, and ``figure-N.json`` with what repeats it.

    The picture of a finished run in the folder is used where there is one that is the same
    (``dcgan_analysis.runs.finished``); otherwise the analysis is run with the paper's settings. Figures 9 to 11 are
    samples, which are drawn.

    Args:
        number: 2 to 11.
        folder: Folder of the figures and the runs.
        request: Template of the run: what it gives holds in place of the figure's own network, dataset and settings.
        gather_only: Use finished runs alone.
        host: The plugins to choose from; all installed ones if None.
        progress: Told how long work goes on.

    Raises:
        ConfigError: If there is no such figure, it needs a network that is not given, or takes no such setting.
        DcganAnalysisError: If a network or dataset is absent or unfit, or the run failed.

    Example:
        >>> make_figure(10, "runs/figures").caption  # doctest: +SKIP
    """
    if number not in FIGURES:
        msg = f"Figures {min(FIGURES)} to {max(FIGURES)} of the paper can be made, got {number}."
        if number == 1:
            msg += " Figure 1 is a drawing of the generator's layers; a table of them: dcgan-analyze show bedrooms64"
        raise ConfigError(msg)
    figure, request, folder = FIGURES[number], request or RunRequest(), Path(folder)
    given = figure.checkpoint if request.checkpoint is None else request.checkpoint
    if given is None:
        msg = f"Figure {number}: {figure.title}. It needs a checkpoint: {figure.own}."
        raise ConfigError(msg)
    runs = FinishedRuns(folder, request, gather_only=gather_only, host=host, progress=progress)
    checkpoint = runs.sources.checkpoint(given)
    path = folder / f"figure-{number}.png"
    if figure.analysis is not None:
        made = _of_run(number, figure, runs, request, checkpoint, path)
    else:
        made = _of_samples(number, figure, runs, request, checkpoint, path, progress)
    write_text(path.with_suffix(".json"), made.as_json() + "\n")
    return made


def _of_run(
    number: int, figure: PublishedFigure, runs: FinishedRuns, request: RunRequest, checkpoint: Checkpoint, path: Path
) -> PaperFigure:
    """Copy the picture of a run."""
    assert figure.analysis is not None
    settings = {**(figure.settings if request.dataset is None else {}), **request.settings}
    dataset = figure.dataset if request.dataset is None else request.dataset
    result = runs.result(figure.analysis, settings, checkpoint, dataset)
    assert result.folder is not None
    picture = next((one for one in result.figures if one.name == figure.picture), None)
    if picture is None:
        names = ", ".join(one.name for one in result.figures) or "none"
        msg = (
            f"{result.analysis} of '{checkpoint.name}' has no figure '{figure.picture}', but {names}. "
            f"Figure {number} needs {figure.own}."
        )
        raise AnalysisError(msg)
    with atomic_path(path) as temporary:
        temporary.write_bytes((result.folder / picture.file).read_bytes())
    text = " ".join(f"{part.rstrip('.')}." for part in (picture.title, picture.caption) if part)
    made = _figure(number, request, path, [checkpoint], f"{text} Run on", result.command)
    return replace(made, run=str(result.folder))


def _of_samples(
    number: int,
    figure: PublishedFigure,
    runs: FinishedRuns,
    request: RunRequest,
    checkpoint: Checkpoint,
    path: Path,
    progress: Progress,
) -> PaperFigure:
    """Draw samples."""
    if request.settings or (figure.dataset is None and request.dataset is not None):
        unused = f"setting '{next(iter(request.settings))}'" if request.settings else f"dataset '{request.dataset}'"
        msg = f"Figure {number} is made of samples, without an analysis: leave out the {unused}."
        raise ConfigError(msg)
    checkpoints, device = [checkpoint], choose_device(request.device)
    if figure.dataset is None:
        z = checkpoint.latents(_COLUMNS * _ROWS, request.seed)
        page = figures.tiled(Sampler(checkpoint, device, progress)(z), _COLUMNS)
        figures.save_image(page, path, scale=max(1, _DOTS // page.shape[2]))
        text = f"{len(z)} samples, not selected, of"
    else:
        given = figure.dataset if request.dataset is None else request.dataset
        dataset = runs.sources.dataset(given, request.data_root)
        check_classes(checkpoint, dataset)
        if request.dataset is None:
            checkpoints.insert(0, runs.sources.checkpoint(BASELINE))
        samplers = [Sampler(one, device, progress) for one in checkpoints]
        figures.save_png(_digits(dataset, samplers, request), path)
        text = f"The first images of each class of {dataset.name}, and samples of each class, not selected, of"
    options = {"--checkpoint": request.checkpoint, "--dataset": request.dataset, "--seed": request.seed}
    words = [word for option, value in options.items() if value is not None for word in (option, _word(value))]
    command = shlex.join(["dcgan-analyze", "figure", str(number), *words, "--out", str(path.parent)])
    return _figure(number, request, path, checkpoints, text, command)


def _digits(dataset: Dataset, samplers: Sequence[Sampler], request: RunRequest) -> Figure:
    """Lay real images and samples of networks side by side, a column for each class."""
    split = dataset.some("train", request.limit)
    members = by_class(split)
    rows = min(_EACH, *map(len, members))
    panels = {dataset.name: split.images[[images[row] for row in range(rows) for images in members]]}
    for sampler in samplers:
        z = sampler.checkpoint.latents(rows * len(members), request.seed)
        panels[sampler.checkpoint.name] = sampler(z)
    return figures.image_panels({title: _rows(images, len(members)) for title, images in panels.items()}, group=rows)


def _rows(images: np.ndarray, columns: int) -> list[list[figures.Tile]]:
    return [[figures.Tile(image) for image in images[at : at + columns]] for at in range(0, len(images), columns)]


def _figure(
    number: int, request: RunRequest, path: Path, checkpoints: Sequence[Checkpoint], text: str, command: str
) -> PaperFigure:
    figure = FIGURES[number]
    named = [f"{one.name} ({short_hash(one.sha256())})" for one in checkpoints]
    own = f"Shown here: {figure.own}." if request.checkpoint is None and request.dataset is None else ""
    data = figure.dataset if request.dataset is None else request.dataset
    cut = "" if request.limit is None or data is None else f"Smoke run: {count(request.limit)} images a split."
    return PaperFigure(
        number=number,
        title=figure.title,
        path=str(path),
        caption=f"{text} {' and '.join(named)}, seed {request.seed}.",
        remark=" ".join(filter(None, (own, cut))),
        checkpoints=tuple({"name": one.name, "sha256": one.sha256()} for one in checkpoints),
        seed=request.seed,
        command=command,
    )


def _word(given: object) -> str:
    """Return what the command line calls a checkpoint, a dataset or a number."""
    return str(getattr(given, "name", given)) if not isinstance(given, Path) else str(given)
