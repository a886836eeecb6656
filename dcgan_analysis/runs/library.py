"""Library calls that know everything that the installed plugins registered."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_analysis.checkpoints import catalogue, hub
from dcgan_analysis.checkpoints.importers.contract import ImportRequest
from dcgan_analysis.core.files import make_folder, put_in_place, scratch_folder
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.data.files import sources
from dcgan_analysis.errors import CheckpointError, ConfigError, TrainingError
from dcgan_analysis.host.host import PluginHost, default_host
from dcgan_analysis.runs.notebook import notebook_progress
from dcgan_analysis.training.watching import Steps, Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dcgan_analysis.api.result import Result
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import Dataset
    from dcgan_analysis.report.compare import Comparison
    from dcgan_analysis.training.config import TrainingConfig

_NAME = re.compile(r"\w[\w.-]*")


def compare(*runs: Result | str | Path) -> Comparison:
    """Put runs side by side, and say whether the first beats each other one on the same test images.

    Args:
        runs: Two or more, results or run folders.

    Raises:
        AnalysisError: If a folder holds no run.
        ConfigError: If there are fewer than two.

    Example:
        >>> compare("runs/wide", "runs/narrow").table  # doctest: +SKIP
    """
    from dcgan_analysis.api.result import Result
    from dcgan_analysis.report.compare import Comparison, comparison_table, run_names
    from dcgan_analysis.report.paired import paired_table

    results = [run if isinstance(run, Result) else Result.load(Path(run)) for run in runs]
    folders = [result.folder for result in results]
    names = run_names([folder for folder in folders if folder is not None]) if all(folders) else None
    table = comparison_table(results, names)
    return Comparison(results, table, paired_table(results, table.columns[1:]))


def write_model_card(
    checkpoint: str | Path, runs: Sequence[Result | str | Path] = (), *, out: str | Path | None = None
) -> Path:
    """Write the model card of a checkpoint with the numbers of runs that measured it; returns its path.

    Args:
        checkpoint: Name or path.
        runs: Results or run folders.
        out: Where; ``README.md`` beside the weights if None.

    Raises:
        AnalysisError: If a folder holds no run.
        ConfigError: If a run measured another checkpoint, somebody else wrote the card that stands there, or the
            checkpoint is of the Hugging Face hub and no ``out`` says where its card goes.
    """
    from dcgan_analysis.api.result import Result
    from dcgan_analysis.report.model_card import write_card

    loaded = load_checkpoint(checkpoint)
    results = [run if isinstance(run, Result) else Result.load(Path(run)) for run in runs]
    for result in results:
        if result.checkpoint is None or result.checkpoint.sha256 != loaded.sha256():
            whose = "no checkpoint" if result.checkpoint is None else f"checkpoint '{result.checkpoint.name}'"
            msg = f"Run '{result.folder}' measured {whose}, not '{checkpoint}' as it is. Leave it out, or run it again."
            raise ConfigError(msg)
    if loaded.path is None:
        msg = f"Checkpoint '{checkpoint}' lies in no file. Save it first."
        raise ConfigError(msg)
    if out is None and str(checkpoint).startswith(hub.PREFIX):
        msg = f"Checkpoint '{checkpoint}' lies in the cache of huggingface_hub. Say where its card goes (out)."
        raise ConfigError(msg)
    return write_card(loaded.path, results, None if out is None else Path(out))


def load_checkpoint(what: str | Path, *, host: PluginHost | None = None) -> Checkpoint:
    """Load a checkpoint by name, path, or the beginning of its hash.

    Args:
        what: ``"cifar10-dcgan32"``; a file; a folder with ``model.safetensors``; at least six digits of a hash.
        host: Provides the known architectures; all installed plugins by default.

    Raises:
        CheckpointError: If the file is damaged or does not fit its architecture.
        UnknownNameError: If there is no such checkpoint.

    Example:
        >>> load_checkpoint("cifar10-dcgan32").architecture.name
        'dcgan32'
    """
    return catalogue.load_checkpoint(what, (host or default_host()).architectures)


def load_dataset(
    name_or_path: str | Path,
    *,
    data_root: str | Path | None = None,
    download: bool = True,
    progress: Progress | None = None,
    host: PluginHost | None = None,
) -> Dataset:
    """Load a dataset by name, those of plugins too, or from a path; see ``data.load_dataset``.

    Args:
        name_or_path: A name, or a path: a ``Path``, or a text with a slash or ending in ``.zip``.
        data_root: Where files lie; by default ``DCGAN_ANALYSIS_DATA``, or the user's data folder.
        download: Whether torchvision may download what is not in the data root.
        progress: Called as ``progress(what, done, total)`` while images are decoded.
        host: Provides the known datasets; all installed plugins by default.

    Raises:
        UnknownNameError: If nothing has this name; plugins that failed are named.
        DatasetError: If the dataset is known but its files are absent or damaged.

    Example:
        >>> load_dataset("digits").split_names
        ['train', 'test']
    """
    registry = (host or default_host()).datasets
    return sources.load_dataset(
        name_or_path, data_root=data_root, registry=registry, download=download, progress=progress
    )


def import_weights(
    path: str | Path,
    second: str | Path | None = None,
    *,
    out: str | Path | None = None,
    format: str | None = None,
    settings: Mapping[str, Any] | None = None,
    host: PluginHost | None = None,
) -> Checkpoint:
    """Convert weights made elsewhere into a checkpoint, and return it.

    What was read, what was assumed because the files do not say it, with the setting that changes it, and what should
    be looked at stand in ``metadata.provenance`` under ``read``, ``assumed`` and ``warnings``; ``numbers`` are those by
    which a wrong assumption shows (:func:`~dcgan_analysis.checkpoints.importers.sanity.numbers`).

    Args:
        path: The file or folder to read; nothing in it is executed.
        second: Another file, where generator and discriminator lie in one each.
        out: A name under which the checkpoint can be loaded from then on; or a folder, as a ``Path`` or a string with a
            slash. Its ``model.safetensors`` is written completely or not at all, and ``samples.png`` beside it. None:
            nothing is written.
        format: Name of an importer: ``"theano"``, ``"pytorch"``, ``"keras"``, ``"safetensors"``, ``"numpy"``, or a
            plugin's. None: it is found out.
        settings: What the files do not say: ``{"image_size": 64}``.
        host: Provides the known importers, architectures and datasets; all installed plugins by default.

    Raises:
        CheckpointError: If the files cannot be read, hold no network that a table of layers can say, or leave open
            what a setting must decide; or if ``out`` is taken.
        ConfigError: If a setting is wrong.
        UnknownNameError: If there is no such format, or no such dataset as ``reference``.

    Example:
        >>> import_weights("netG.pth", "netD.pth", out="mine")  # doctest: +SKIP
    """
    from dcgan_analysis.checkpoints.importers.assemble import assemble
    from dcgan_analysis.checkpoints.importers.read import kind_of
    from dcgan_analysis.checkpoints.importers.sanity import add_numbers, save_samples

    host = host or default_host()
    paths = tuple(Path(each) for each in (path, second) if each is not None)
    folder = None if out is None else _new_folder(out)
    name = format or _recognised(host, paths) or kind_of(paths[0])
    imported = host.importers[name].load(ImportRequest(paths, settings or {}, host.architectures))
    images = (settings or {}).get("reference")
    reference = None
    if images is not None:
        dataset = load_dataset(str(images), host=host)
        reference = dataset.some(dataset.split_names[0], None)
    checkpoint = assemble(imported, paths[0].stem if folder is None else folder.name, name, reference)
    checkpoint = add_numbers(checkpoint)
    if folder is None:
        return checkpoint
    with scratch_folder(folder) as temporary:
        checkpoint.save(temporary / catalogue.WEIGHTS)
        save_samples(checkpoint, temporary / "samples.png")
        make_folder(folder)
        # The weights last: they make the folder a checkpoint, which the same command would not write again.
        for path in sorted(temporary.iterdir(), key=lambda path: path.name == catalogue.WEIGHTS):
            put_in_place(path, folder / path.name)
    return replace(checkpoint, path=folder / catalogue.WEIGHTS)


def _recognised(host: PluginHost, paths: tuple[Path, ...]) -> str | None:
    """Return the name of a plugin's importer that knows a path as its own."""
    for entry in map(host.importers.__getitem__, host.importers):
        if entry.recognises is not None and entry.recognises(paths[0]):
            return entry.name
    return None


def _new_folder(out: str | Path) -> Path:
    """Return the folder of a new checkpoint from a name or a path."""
    text = str(out)
    if isinstance(out, str) and not set(text) & set("/\\"):
        if not _NAME.fullmatch(text):
            msg = f"Checkpoint name '{text}' must begin with a letter or digit and hold only those and '_', '-', '.'."
            raise CheckpointError(msg)
        taken = {entry.name: entry.path for entry in catalogue.list_checkpoints()}
        folder = catalogue.checkpoint_folders()[0] / text
        if text in taken:
            msg = f"Checkpoint name '{text}' is taken by '{taken[text]}'. Choose another."
            raise CheckpointError(msg)
    else:
        folder = Path(out)
    if (folder / catalogue.WEIGHTS).exists() or folder.is_file():
        msg = f"'{folder}' already holds a checkpoint, or is a file. Choose another folder (out)."
        raise CheckpointError(msg)
    return folder


def train(
    settings: Mapping[str, Any],
    out: str | Path,
    *,
    preset: str | None = None,
    data_root: str | Path | None = None,
    resume: bool = False,
    limit: int | None = None,
    device: str = "auto",
    host: PluginHost | None = None,
    progress: Progress | None = None,
    watchers: Sequence[Watcher] = (),
) -> Checkpoint:
    """Train a DCGAN and return its checkpoint, which is also saved as ``out/model.safetensors``.

    Under torchrun every process calls it in the same way, and together they train one pair of networks.

    Args:
        settings: Fields of ``training.TrainingConfig``; omitted ones have the value of the preset or else of the paper,
            on a resume that of the training in ``out``. Where a checkpoint is named to start from, architecture,
            parameters and prior are its own unless they are given, or it is to be widened.
        out: Folder of the training; all processes must be able to reach it.
        preset: Name of a preset, which ``settings`` override; see ``training.list_presets``.
        data_root: Folder with data sets; ``DCGAN_ANALYSIS_DATA`` or the user's data folder if None.
        resume: Continue the training in ``out``, if there is one.
        limit: Train on the first ``limit`` images only: the setting ``images``.
        device: ``auto``, ``cpu`` or ``cuda``.
        host: Provides the known datasets and architectures; all installed plugins by default.
        progress: Called while images are read and, without watchers, after training steps; in a notebook a bar if None.
        watchers: Callbacks for training progress, in the first process.

    Raises:
        ConfigError: If a setting is wrong.
        TrainingError: If ``out`` holds a training and ``resume`` is not set, or another training, or one that is
            running, or none and nothing says what to train; if a loss is not finite; if nothing can be written.
        UnknownNameError: If there is no such preset, dataset or architecture.

    Example:
        >>> train({"epochs": 5}, Path("svhn"), preset="svhn")  # doctest: +SKIP
    """
    from dcgan_analysis.core.device import choose_device
    from dcgan_analysis.report.training_page import TrainingPage
    from dcgan_analysis.training import Trainer
    from dcgan_analysis.training.distributed import process_group
    from dcgan_analysis.training.selection import select_images, untrained_images
    from dcgan_analysis.training.state import STATE, check_settings

    host, out = host or default_host(), Path(out)
    resuming = resume and (out / STATE).exists()
    start = None if resuming else _start(settings, host)
    if start is not None and not settings.get("widen"):
        settings = {**_of_start(start, settings), **settings}
    config = _training_config(settings, out, preset, limit, resume=resume)
    architecture = host.architectures[config.architecture].create(**config.parameters)
    chosen = choose_device(device)
    if resuming:
        check_settings(out / STATE, config.resolved(chosen))
    with process_group(chosen) as (processes, place), notebook_progress(progress) as shown:
        progress = shown if processes.first else silent
        dataset = load_dataset(config.dataset, data_root=data_root, progress=progress, host=host)
        # A list of near-duplicates may have been made of all images.
        known = None if config.leave_out is not None else config.images
        split, left_out = select_images(config, dataset.some(config.split, known, first=True))
        probed = None
        if config.probe_dataset is not None:
            probes = load_dataset(config.probe_dataset, data_root=data_root, progress=progress, host=host)
            probed = probes.split("train")
        elif config.probe_every and config.images is not None:
            probed = untrained_images(config, dataset.split(config.split))
        trainer = Trainer(config, architecture, split, out, place, processes, left_out, start, probed)
        if resume:
            trainer.resume()
        # Nothing is written before all have read what there was.
        processes.wait()
        bar = _ProgressWatcher(f"{architecture.name} on {dataset.name} (steps)", progress)
        return trainer.run([*(watchers or [bar]), TrainingPage()])


class _ProgressWatcher(Watcher):
    def __init__(self, what: str, progress: Progress) -> None:
        self._what = what
        self._progress = progress

    def steps(self, at: Steps) -> None:
        self._progress(self._what, at.step, at.steps)


def _start(settings: Mapping[str, Any], host: PluginHost) -> Checkpoint | None:
    """Return the checkpoint that a training starts from, where the settings name one."""
    name = settings.get("start_from")
    return load_checkpoint(name, host=host) if isinstance(name, str | Path) else None


def _of_start(start: Checkpoint, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that follow from a checkpoint to start from: what it is, unless that is given."""
    own: dict[str, Any] = {"z_prior": start.metadata.z_prior}
    if not settings.keys() & {"architecture", "parameters"}:
        own |= {"architecture": start.architecture.name, "parameters": dict(start.architecture.parameters)}
    return own


def _training_config(
    settings: Mapping[str, Any], out: Path, preset: str | None, limit: int | None, *, resume: bool
) -> TrainingConfig:
    """Put settings together: given ones, over the preset's, over those of the training that goes on."""
    from dcgan_analysis.training.config import TrainingConfig
    from dcgan_analysis.training.presets import with_preset

    chosen = dict(settings) | ({"images": limit} if limit is not None else {})
    state = out / "state.safetensors"
    if resume and not state.exists() and preset is None and not chosen:
        msg = f"'{out}' holds no training to continue. Check the folder (out), or start one with a PRESET or settings."
        raise TrainingError(msg)
    if not state.exists():
        return TrainingConfig.build(chosen if preset is None else with_preset(preset, chosen))
    if not resume:
        msg = f"'{out}' holds a training. Resume it, or train into another folder (out)."
        raise TrainingError(msg)
    from dcgan_analysis.training.state import read_header

    saved, _ = read_header(state)
    known = {key: value for key, value in saved.items() if key in TrainingConfig.model_fields}
    if preset is not None and preset != known.get("preset"):
        # Another one than it began with: what differs will be named. The same one says nothing new.
        chosen = with_preset(preset, chosen)
    if isinstance(chosen.get("parameters"), dict) and chosen.get("architecture", known["architecture"]) == known.get(
        "architecture"
    ):
        chosen["parameters"] = {**known["parameters"], **chosen["parameters"]}
    return TrainingConfig.build({**known, **chosen})
