"""The state of a training between two steps: everything that the next step depends on, in one safetensors file."""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from dcgan_analysis.core.checksums import damaged_text
from dcgan_analysis.core.documents import parse_json
from dcgan_analysis.core.files import atomic_path, make_folder, sweep, writer_lock
from dcgan_analysis.core.tensor_files import undamaged_tensors, write_tensors
from dcgan_analysis.errors import TrainingError
from dcgan_analysis.training.config import free_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from dcgan_analysis.models.architecture import Role
    from dcgan_analysis.training.config import TrainingConfig
    from dcgan_analysis.training.networks import AdversarialPair

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Settings that older states lack, with the value that a training had without them; those free to change need none.
_ADDED = {"leave_out": None, "start_from": None, "widen": False, "self_supervised": "none", "ema_discriminator": 0.0}

_AVERAGES: dict[Role, str] = {"generator": "average", "discriminator": "average_discriminator"}

STATE = "state.safetensors"
"""Name of the newest state in the folder of a training."""

OLDER = "states"
"""Name of the folder in there with the states before it."""


def _tensors(pair: AdversarialPair) -> dict[str, Tensor]:
    """All tensors of networks and optimisers by name; optimiser state under the parameter's own name."""
    tensors: dict[str, Tensor] = {}
    for role, network, optimizer in pair.trained():
        for name, tensor in network.state_dict().items():
            tensors[f"{role}.{name}"] = tensor
        for name, parameter in network.named_parameters():
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"{role}_optimizer.{key}.{name}"] = value
    for role, average in pair.averages.items():
        tensors |= {f"{_AVERAGES[role]}.{name}": tensor for name, tensor in average.state_dict().items()}
    return tensors


def not_finite(pair: AdversarialPair) -> list[str]:
    """Return the names of tensors that hold a number that is not finite: a state with one would be no use."""
    return [name for name, tensor in _tensors(pair).items() if not torch.isfinite(tensor).all()]


def save_state(
    path: Path,
    pair: AdversarialPair,
    config: TrainingConfig,
    progress: dict[str, Any],
    monitored: dict[str, Tensor] | None = None,
) -> None:
    """Write the state, whole or not at all.

    Args:
        path: The file.
        pair: Networks and optimisers.
        config: The settings, compared on resume.
        progress: JSON-serialisable: step, history, data hash.
        monitored: Tensors by name that the monitors compare with next time.
    """
    header = {"config": config.model_dump_json(), "progress": json.dumps(progress)}
    named = _tensors(pair) | {f"monitored.{name}": tensor for name, tensor in (monitored or {}).items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}
    write_tensors(path, tensors, header)


def read_header(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings and the progress that a state was saved with.

    Raises:
        TrainingError: If the file is unreadable.
    """
    with readable(path), safe_open(path, framework="pt") as file:
        header = file.metadata()
        if damaged_text(header):
            msg = "it is damaged, its header is not as it was written"
            raise ValueError(msg)
        config, progress = (parse_json(header[part], finite=False) for part in ("config", "progress"))
        if not isinstance(config, dict) or not isinstance(progress, dict):
            msg = "its settings or its progress are no objects"
            raise ValueError(msg)
        return config, progress


def read_weights(path: Path, role: Role) -> dict[str, Tensor]:
    """Return the parameters and buffers of one of the two networks in a state, by name.

    Raises:
        TrainingError: If the file is unreadable.
    """
    with readable(path):
        tensors = undamaged_tensors(path)
    return {name.partition(".")[2]: tensor for name, tensor in tensors.items() if name.startswith(f"{role}.")}


def check_settings(path: Path, config: TrainingConfig) -> None:
    """Refuse to go on from a state with other settings, before anything long begins.

    Raises:
        TrainingError: If the file is unreadable, or was made with other settings: each that differs is named.
    """
    saved, progress = read_header(path)
    with readable(path):
        _same_settings(path, saved, progress, config)


def load_state(path: Path, pair: AdversarialPair, config: TrainingConfig) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Put a saved state into ``pair`` and return the ``progress`` and ``monitored`` saved with it.

    Raises:
        TrainingError: If the file is unreadable, or was made with other settings: each that differs is named.
    """
    check_settings(path, config)
    _, progress = read_header(path)
    with readable(path):
        tensors = undamaged_tensors(path)
        _restore(pair, tensors)
    monitored = {name.partition(".")[2]: tensor for name, tensor in tensors.items() if name.startswith("monitored.")}
    return progress, monitored


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever a damaged state gives rise to into one line.

    Raises:
        TrainingError: If the block cannot read it.
    """
    try:
        yield
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        older = sorted((path.parent / OLDER).glob("*.safetensors"))
        way = f"Copy '{older[-1]}' over it, or start anew" if older else "Start anew"
        msg = (
            f"Training state '{path}' cannot be read: {' '.join(str(error).split())}. {way} into another folder (out)."
        )
        raise TrainingError(msg) from None


def _same_settings(path: Path, saved: dict[str, Any], progress: dict[str, Any], config: TrainingConfig) -> None:
    now, free = config.model_dump(mode="json"), free_settings(config)
    saved = {**{key: now[key] for key in free}, **_ADDED, **saved}
    unknown = sorted(saved.keys() ^ now.keys())
    if unknown:
        msg = (
            f"Training state '{path}' was saved by another version of dcgan-analysis, whose settings differ in: "
            f"{', '.join(unknown)}. Go on with that version, or train into another folder (out)."
        )
        raise TrainingError(msg)
    differing = [
        f"{key} (saved {saved[key]!r}, now {now[key]!r})"
        for key in sorted(now)
        if key not in free and saved[key] != now[key]
    ]
    if differing:
        msg = (
            f"'{path.parent}' holds a training with other settings, saved at step {progress['step']:,}: "
            f"{'; '.join(differing)}. Resume with the same settings, or train into another folder (out)."
        )
        raise TrainingError(msg)


@torch.no_grad()
def _restore(pair: AdversarialPair, tensors: dict[str, Tensor]) -> None:
    for kept, average in pair.averages.items():
        average.load_state_dict({name: tensors[f"{_AVERAGES[kept]}.{name}"] for name in average.state_dict()})
    for role, network, optimizer in pair.trained():
        network.load_state_dict({name: tensors[f"{role}.{name}"] for name in network.state_dict()})
        for name, parameter in network.named_parameters():
            for key in ("step", "exp_avg", "exp_avg_sq"):
                value = tensors.get(f"{role}_optimizer.{key}.{name}")
                if value is None:
                    continue  # saved before this optimiser's first step
                # The moments keep the parameter's memory layout: a fused Adam walks both side by side.
                optimizer.state[parameter][key] = (
                    value.clone().to(parameter.device) if key == "step" else torch.empty_like(parameter).copy_(value)
                )


class StateFile:
    """The newest state of a training, and those before it.

    Args:
        folder: The folder of the training.
        keep: Number of states kept, the newest included.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.path = folder / STATE
        self._older = folder / OLDER
        self._keep = keep

    def set_aside(self, step: int) -> None:
        """Keep the state of ``step``, which is about to be replaced, under a name of its own, and drop the oldest."""
        if self._keep > 1 and self.path.exists():
            with atomic_path(self._older / f"step-{step:09d}.safetensors") as temporary:
                try:
                    os.link(self.path, temporary)  # the same file under two names: nothing is copied
                except OSError:  # a file system without such links
                    shutil.copyfile(self.path, temporary)
        older = sorted(self._older.glob("step-*.safetensors"))
        for path in older[: max(0, len(older) - (self._keep - 1))]:
            path.unlink()

    @contextmanager
    def held(self, saved_step: int | None) -> Iterator[None]:
        """Let no other training write into the folder during the block, which would replace this one's states.

        The folder is made, and what killed processes left half-written is removed.

        Args:
            saved_step: Step of the last saved state, or None.

        Raises:
            TrainingError: If another training is under way there, or the folder cannot be written.
        """
        folder = self.path.parent
        with ExitStack() as held:
            with explained_write_errors(folder, saved_step):
                make_folder(folder)
                held.enter_context(writer_lock(self.path, f"Training '{folder}'", TrainingError))
                self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove half-written files that processes left behind which were killed while they wrote."""
        folder = self.path.parent
        for one in (folder, *filter(Path.is_dir, folder.iterdir())):
            sweep(one)


@contextmanager
def explained_write_errors(folder: Path, saved_step: int | None) -> Iterator[None]:
    """Turn a failure to write into one line that says what is kept.

    Args:
        folder: The folder of the training.
        saved_step: Step of the last saved state, or None.

    Raises:
        TrainingError: If the block could not write: a full disk, a quota, a lost mount.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        kept = "no state was saved before" if saved_step is None else f"the state of step {saved_step:,} is whole"
        msg = (
            f"The training cannot be saved in '{folder}': {reason}. Nothing half-written was kept, and {kept}. "
            f"{'Make room' if error.errno in _FULL else 'Fix the cause'} and resume."
        )
        raise TrainingError(msg) from None
