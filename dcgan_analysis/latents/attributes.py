"""Judges of attributes: trained on a labelled dataset, tested on held-out images, then used on samples.

They are several networks of different seeds. One alone may be ten points off another, on the same images: intervals of
what they say hold their disagreement (``core.statistics.judged_interval``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dcgan_analysis.api.result import Cell, Metric, Table
from dcgan_analysis.core.array_files import read_npz
from dcgan_analysis.core.documents import parse_json
from dcgan_analysis.core.hashing import hash_array
from dcgan_analysis.core.randomness import seeded, torch_generator
from dcgan_analysis.core.statistics import judged_share
from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.data.splits import holdout
from dcgan_analysis.errors import AnalysisError, unknown_name
from dcgan_analysis.latents.properties import PROPERTIES
from dcgan_analysis.training.classifier import outputs, strided_network, train_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.data.dataset import DatasetSplit

_EPOCHS, _FEWEST_STEPS, _MOST_STEPS, _BATCH = 8, 400, 2000, 64
_HELD_OUT, _HELD_OUT_SEED = 0.2, 0

JUDGES_FILE = "judges.npz"
"""Weights of judges, in a run folder or beside a checkpoint's weights."""

_ORIGIN = "origin"

_SIDE = 32
"""Height and width of the classifier's input."""

_CHANNELS = (24, 48, 96)
_SHIFT = 2
_LEARNING_RATE, _WEIGHT_DECAY = 2e-3, 1e-2


@dataclass(frozen=True)
class AttributeTable:
    """The attributes of a dataset's images.

    Attributes:
        names: A names.
        values: (N, A) 0 or 1 of binary attributes and classes, numbers of the others, NaN where unknown.
        binary: (A,) mask.
        classes: Names among them that are classes, of which an image has one.
    """

    names: list[str]
    values: np.ndarray
    binary: np.ndarray
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judge:
    """Predicts the attributes of images, by several networks that were trained from different seeds.

    Attributes:
        names: A names: the dataset's attributes, or its classes, then numbers it knows, then measured properties.
        binary: (A,) which are yes or no.
        classes: Names that are classes.
        quality: Name -> how well the networks predict them on held-out images; measured properties are exact and not
            listed.
    """

    names: list[str]
    binary: np.ndarray
    classes: tuple[str, ...]
    quality: dict[str, Metric]
    _networks: tuple[nn.Module, ...]
    _shape: tuple[int, int, int]
    _scales: np.ndarray
    _usual: tuple[np.ndarray, np.ndarray] | None = None

    def column(self, name: str) -> int:
        """Return the position of an attribute.

        Raises:
            UnknownNameError: If there is none of this name.
        """
        if name not in self.names:
            error = unknown_name("attribute", name, self.names)
            raise error
        return self.names.index(name)

    def each(self, images: np.ndarray) -> np.ndarray:
        """Judge images, uint8 (N, C, H, W), by each of J networks.

        Returns:
            (J, N, A): for binary attributes 2 p - 1 with the probability p of yes; for numbers the value in standard
            deviations from the mean of the training images, or of those that it was centred on. Positive is yes, or
            more than usual.
        """
        if not len(images):
            return np.empty((len(self._networks), 0, len(self.names)))
        prepare = _prepare(self._shape)
        pages = [outputs(network, images, prepare, batch=256) for network in self._networks]
        predicted = torch.stack(pages).double().numpy()
        binary = self.binary[: predicted.shape[2]]
        predicted[..., binary] = np.tanh(predicted[..., binary] / 2)  # 2 sigmoid(x) - 1
        measured = np.stack([measure(images) for measure in PROPERTIES.values()], axis=1)
        mean, std = self._scales
        known = np.broadcast_to((measured - mean) / std, (len(predicted), *measured.shape))
        margins = np.concatenate([predicted, known], axis=2)
        if self._usual is not None:
            margins = (margins - self._usual[0]) / self._usual[1]
        return margins

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Judge images, uint8 (N, C, H, W), by the mean of the networks: (N, A), see :meth:`each`."""
        margins: np.ndarray = self.each(images).mean(axis=0)
        return margins

    def centred_on(self, margins: np.ndarray) -> Judge:
        """Return the same judge, whose numbers are relative to those of given images, for each network by itself.

        A generator's samples may all be darker than real images; "darker than usual" should then mean among samples.

        Args:
            margins: (J, N, A) each network's judgement of these images.
        """
        middle = np.where(self.binary, 0.0, margins.mean(axis=1, keepdims=True))
        spread = np.where(self.binary, 1.0, np.maximum(margins.std(axis=1, keepdims=True), 1e-9))
        return replace(self, _usual=(middle, spread))


def attribute_table(split: DatasetSplit) -> AttributeTable:
    """Collect a split's attributes, or else its classes, and the numbers among its extras.

    Raises:
        AnalysisError: If it has none.
    """
    columns: dict[str, np.ndarray] = {}
    binary: list[bool] = []
    classes: tuple[str, ...] = ()
    if split.attributes is not None:
        columns |= {name: split.attributes[:, i] for i, name in enumerate(split.attribute_names)}
    elif split.labels is not None:
        columns |= {name: split.labels == i for i, name in enumerate(split.classes)}
        classes = tuple(split.classes)
    for values in columns.values():
        known = values[~np.isnan(np.asarray(values, np.float64))]
        binary.append(bool(np.isin(known, (0, 1)).all()))
    numbers = {n: v for n, v in split.extras.items() if np.issubdtype(np.asarray(v).dtype, np.floating)}
    columns |= numbers
    binary += [False] * len(numbers)
    if not columns:
        msg = f"{split.source or 'The split'} has no labels, attributes or numbers to learn. Choose a labelled dataset."
        raise AnalysisError(msg)
    table = np.stack([np.asarray(values, np.float64) for values in columns.values()], axis=1)
    return AttributeTable(list(columns), table, np.array(binary), classes)


def judged_names(split: DatasetSplit, asked: Iterable[str] = ()) -> list[str]:
    """Return the attributes that a judge trained on a split will know: its own, then the measured properties.

    Args:
        split: The images.
        asked: Attributes that must be among them.

    Raises:
        AnalysisError: If the split has no labels, attributes or numbers.
        UnknownNameError: If one that is asked for is not among them.
    """
    names = [*attribute_table(split).names, *PROPERTIES]
    for name in asked:
        if name not in names:
            error = unknown_name("attribute", name, names)
            raise error
    return names


def train_judge(context: RunContext, *, steps: int | None = None, networks: int = 5) -> Judge:
    """Train judges on the dataset's training split; a fifth is held out to measure how good they are.

    Images of one group (crops of one photo) stay on one side; which are held out does not depend on the seed. The
    weights are rounded to half precision and kept in the run folder as ``judges.npz``. Where that file of a run
    lies beside the checkpoint, was made on the same images and fits the arguments, it is used instead: what judges then
    does not depend on the processor that trained it.

    Args:
        context: The run.
        steps: Minibatches of 64 for each network; None: eight passes, 400 at least and 2,000 at most.
        networks: J.

    Raises:
        AnalysisError: If the dataset has no labels, attributes or numbers.
    """
    split = context.split("train")
    table = attribute_table(split)
    kept, held = holdout(
        len(split),
        max(1, round(_HELD_OUT * len(split))),
        np.random.default_rng(_HELD_OUT_SEED),
        labels=split.labels,
        groups=split.groups,
    )
    means, stds = np.zeros(len(table.names)), np.ones(len(table.names))
    for column in np.flatnonzero(~table.binary):
        known = table.values[kept, column]
        means[column], stds[column] = np.nanmean(known), np.nanstd(known) or 1.0
    targets = torch.from_numpy((table.values - means) / stds).float()
    prepare = _prepare(split.image_shape)
    origin = {"images": split.sha256, "attributes": hash_array(table.values), "names": table.names}
    judges = None if steps else _shipped(context, prepare, origin, networks)
    steps = steps or int(np.clip(_EPOCHS * len(kept) // _BATCH, _FEWEST_STEPS, _MOST_STEPS))
    if judges is None:
        judges = []
        for number in range(networks):
            seed = int(context.rng("judge", "network", str(number)).integers(2**31))
            label = f"attribute classifier {number + 1} of {networks} (steps)"
            network = _train_classifier(
                split.images[kept],
                targets[kept],
                torch.from_numpy(table.binary),
                prepare,
                steps,
                seed,
                lambda done, total, label=label: context.progress(label, done, total),  # type: ignore[misc]
            )
            judges.append(_rounded(network))
        weights = {f"{number}.{name}": array for number, one in enumerate(judges) for name, array in _arrays(one)}
        context.save_arrays("judges", **{_ORIGIN: np.array(json.dumps(origin | {"steps": steps}))}, **weights)
    measured = np.stack([measure(split.images) for measure in PROPERTIES.values()])
    scales = np.stack([measured.mean(axis=1), np.maximum(measured.std(axis=1), 1e-9)])
    names = judged_names(split)
    flags = np.concatenate([table.binary, np.zeros(len(PROPERTIES), bool)])
    judge = Judge(names, flags, table.classes, {}, tuple(judges), split.image_shape, scales)
    judge.quality.update(_quality(judge, judge.each(split.images[held]), table, targets.numpy()[held]))
    return judge


def _rounded(network: nn.Module) -> nn.Module:
    """Round its parameters to half precision; they stay in float32, and so do BatchNorm statistics."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half())
    return network


def _arrays(network: nn.Module) -> Iterator[tuple[str, np.ndarray]]:
    for name, tensor in network.state_dict(keep_vars=True).items():
        yield name, (tensor.half() if isinstance(tensor, nn.Parameter) else tensor).detach().numpy()


def _shipped(
    context: RunContext, prepare: Preprocessing, origin: Mapping[str, object], networks: int
) -> list[nn.Module] | None:
    """Return the judges beside the checkpoint, or None where there are none of these images."""
    path = context.checkpoint.path
    file = None if path is None else path.parent / JUDGES_FILE
    if file is None or not file.is_file():
        return None
    judges = []
    try:
        stored = read_npz(file)
        made = parse_json(str(stored.pop(_ORIGIN)))
        if any(made.get(key) != value for key, value in origin.items()):
            return None
        tensors = {name: torch.from_numpy(values) for name, values in stored.items()}
        for number in range(networks):
            own = {
                name.partition(".")[2]: value for name, value in tensors.items() if name.split(".")[0] == str(number)
            }
            if not own:
                return None
            network = _network(prepare.image_shape, len(origin["names"]))  # type: ignore[arg-type]
            network.load_state_dict(own)
            judges.append(network.eval())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        msg = f"Judges '{file}' cannot be used: {reason}. Fetch the file again, or remove it: they are trained anew."
        raise AnalysisError(msg) from None
    context.note(f"Attributes are judged by the {networks} networks of '{file.name}' beside the checkpoint's weights.")
    return judges


def _network(shape: tuple[int, int, int], attributes: int) -> nn.Module:
    return strided_network(shape, _CHANNELS, attributes, kernel=3, batchnorm=True)


def _train_classifier(
    images: np.ndarray,
    targets: Tensor,
    binary: Tensor,
    prepare: Callable[[np.ndarray], Tensor],
    steps: int,
    seed: int,
    watch: Callable[[int, int], None],
) -> nn.Module:
    """Train one small network for all attributes; it judges samples and knows no GAN.

    Args:
        images: uint8 (N, C, H, W).
        targets: (N, A): 0 or 1 of binary attributes, standardised values of the others, NaN where unknown.
        binary: (A,) mask of the binary ones: cross entropy; the others: squared error.
        prepare: Bytes (N, C, H, W) to (N, C', 32, 32) in [-1, 1].
        steps: Minibatches of 64, each shifted by up to two pixels.
        seed: Initial weights, order and shifts; torch's global random state is left alone.
        watch: Called with the steps done and the steps in all.

    Returns:
        The network in evaluation mode.
    """
    source = torch_generator(seed)
    with seeded(seed):
        network = _network((prepare(images[:1]).shape[1], _SIDE, _SIDE), targets.shape[1])
    optimizer = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps)

    def minibatches() -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(1, steps + 1):
            chosen = torch.randint(len(images), (_BATCH,), generator=source)
            top, left = torch.randint(2 * _SHIFT + 1, (2,), generator=source).tolist()
            batch = F.pad(prepare(images[chosen.numpy()]), (_SHIFT,) * 4, mode="replicate")
            yield batch[:, :, top : top + _SIDE, left : left + _SIDE], targets[chosen]
            if step % 20 == 0 or step == steps:
                watch(step, steps)

    train_network(network, optimizer, minibatches(), partial(_loss, binary=binary), after=schedule.step)
    return network.eval()


def _loss(predicted: Tensor, targets: Tensor, binary: Tensor) -> Tensor:
    known = ~targets.isnan()
    wanted = targets.nan_to_num()
    entropy = F.binary_cross_entropy_with_logits(predicted, wanted, reduction="none")
    losses = torch.where(binary, entropy, (predicted - wanted).square())
    return (losses * known).sum() / known.sum().clamp_min(1)


def _prepare(shape: tuple[int, int, int]) -> Preprocessing:
    return Preprocessing((shape[0], _SIDE, _SIDE), fit="resize")


def _quality(judge: Judge, margins: np.ndarray, table: AttributeTable, targets: np.ndarray) -> dict[str, Metric]:
    quality = {}
    for column, name in enumerate(table.names):
        known = ~np.isnan(targets[:, column])
        predicted, true = margins[:, known, column], targets[known, column]
        if len(true) < 2:
            continue
        if table.binary[column]:
            value, low, high = judged_share((predicted > 0) == (true > 0.5))
            share = max(true.mean(), 1 - true.mean())
            quality[name] = Metric(
                value=value,
                low=low,
                high=high,
                interval="95 % over networks and images",
                n=len(true),
                description=f"accuracy of the attribute classifier for '{name}', held-out images; always the same "
                f"answer: {share:.1%}",
            )
        elif (predicted.std(axis=1) > 0).all() and true.std() > 0:
            quality[name] = Metric(
                value=float(np.mean([np.corrcoef(one, true)[0, 1] for one in predicted])),
                n=len(true),
                unit="number",
                description=f"correlation of predicted and true '{name}', held-out images",
            )
    return quality


def judge_table(judge: Judge, names: Sequence[str] | None = None) -> Table:
    """List how well a judge does on held-out images."""
    rows: list[list[Cell]] = [
        [
            name,
            "accuracy" if metric.unit == "fraction" else "correlation",
            metric.value,
            metric.low,
            metric.high,
            metric.n,
        ]
        for name, metric in judge.quality.items()
        if names is None or name in names
    ]
    return Table(
        name="judge",
        title="The attribute classifiers on held-out images",
        columns=["attribute", "measure", "value", "low", "high", "n"],
        rows=rows,
        note="Small convolutional networks trained on real images from different seeds, the mean of them; they share "
        "nothing with the GAN.",
    )
