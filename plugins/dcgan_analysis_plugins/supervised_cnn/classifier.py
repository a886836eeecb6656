"""A discriminator's layers with K logits, and how they learn from labels, with early stopping (section 5.2).

Everything random is a function of the seed: weights, minibatches, shifts, dropout. torch's global random state is
neither used nor changed, so that several trainings may run in the threads of one process. Modules of others may use
it: it is set for them and put back.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dcgan_analysis.core.hashing import hash_array, hash_parts
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.core.randomness import seeded, torch_generator
from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models.architecture import Layer
from dcgan_analysis.models.builder import Block, build
from dcgan_analysis.models.hooks import run_to
from dcgan_analysis.models.initialisation import initialise
from dcgan_analysis.models.shapes import layer_inputs
from dcgan_analysis.models.tracing import trace_role
from dcgan_analysis.training.classifier import outputs, train_network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from dcgan_analysis.models.architecture import Architecture

CLASSIFIER_VERSION = 1
"""Grows when a change to this file changes the numbers."""

# Images per forward pass where nothing is learned.
_BATCH = 100


class Classifier(nn.Module):
    """Maps images to K logits with the layers of an architecture's discriminator, the last one replaced.

    Of a layer table that ends in a linear unit, or a convolution that sees its whole input, the rows are built anew,
    and labels join none of them, for they are what is to be found. Any other network is run up to its last convolution
    or linear layer; one that takes labels is told class 0 throughout. Where that layer is a convolution that sees a
    part of its input, logits are means over its positions.

    Args:
        architecture: Its discriminator.
        classes: K, at least 2.

    Attributes:
        architecture: The same.
        trunk: All layers but the last.
        head: The last.
        foreign: Whether the layers are modules that may draw random numbers, not rows of a table.

    Raises:
        ArchitectureError: If there is no discriminator, or nothing that a head can stand on.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> network = Classifier.random(dcgan32(width=8), classes=10, generator=torch.Generator().manual_seed(0))
        >>> network(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, architecture: Architecture, classes: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.foreign = not _ends_in_a_unit(architecture)
        self._tap: str | None = None
        self.trunk: nn.Module
        self.head: nn.Module
        if self.foreign:
            self._of_modules(architecture, classes)
        else:
            self._of_table(architecture, classes)

    def _of_table(self, architecture: Architecture, classes: int) -> None:
        bare = replace(architecture, classes=0)
        rows = [*layer_inputs(architecture, "discriminator")]
        blocks = [Block(replace(layer, conditional=False), shape, bare) for layer, shape in rows[:-1]]
        unit, seen = rows[-1]
        # What a sigmoid makes of one logit is not asked of many.
        head = Layer(unit.name, "linear", classes, batchnorm=False, bias=unit.bias)
        blocks.append(Block(head, seen, bare))
        self.trunk, self.head = nn.ModuleList(blocks[:-1]), blocks[-1]

    def _of_modules(self, architecture: Architecture, classes: int) -> None:
        self.trunk = build(architecture.discriminator)
        images = torch.zeros(2, *architecture.image_shape)
        traced = trace_role(self.trunk, architecture, "discriminator")
        calls = _calls(self.trunk, images, *self._labels(images))
        # Other layers, functions with weights of their own among them, stand between: their features are the last.
        if 0 < len(calls) == len(traced.layers) and [path for path, _ in calls].count(calls[-1][0]) == 1:
            path, shape = calls[-1]
            last = self.trunk.get_submodule(path)
            self.trunk.set_submodule(path, _Stop())
            self.head = _head(last, shape, classes)
        elif traced.feature_taps:
            self._tap = traced.feature_taps[-1]
            self.head = _head(None, tuple(self._reached(images).shape[1:]), classes)
        else:
            msg = (
                f"The discriminator of '{architecture.name}' has no layer that a classifier could stand on. "
                "Name another architecture by the setting architecture=NAME."
            )
            raise ArchitectureError(msg)

    @classmethod
    def random(cls, architecture: Architecture, classes: int, generator: torch.Generator) -> Classifier:
        """Return one with weights drawn as the paper does; torch's global random state is left alone."""
        if _ends_in_a_unit(architecture):
            with torch.device("meta"):
                network = cls(architecture, classes)
            network.to_empty(device="cpu")
        else:
            with seeded(0):
                network = cls(architecture, classes)
        initialise(network, generator)
        return network.requires_grad_(True)

    def features(self, images: Tensor) -> Tensor:
        """Return what the last layer is given, (N, D) or (N, C, H, W), of images (N, C, H, W)."""
        if self.foreign:
            return self._reached(images)
        x = images
        assert isinstance(self.trunk, nn.ModuleList)
        for block in self.trunk:
            x = block(x, None)
        return x.flatten(1)

    def judge(self, features: Tensor) -> Tensor:
        """Return logits (N, K) of features."""
        result: Tensor = self.head(features) if self.foreign else self.head(features, None)
        return result

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K)."""
        return self.judge(self.features(images))

    def _labels(self, images: Tensor) -> list[Tensor]:
        return [torch.zeros(len(images), dtype=torch.long)] if self.architecture.classes else []

    def _reached(self, images: Tensor) -> Tensor:
        if self._tap is not None:
            return run_to(self.trunk, self._tap, images, *self._labels(images))
        try:
            self.trunk(images, *self._labels(images))
        except _ReachedError as reached:
            return reached.value
        msg = f"The discriminator of '{self.architecture.name}' does not come by the same layers in every pass."
        raise ArchitectureError(msg)


class _ReachedError(Exception):
    """Carries what the last layer was given out of a pass, whose rest nobody needs."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value


class _Stop(nn.Module):
    """Stands where the last layer was."""

    def forward(self, x: Tensor) -> Tensor:
        """Leave the pass."""
        raise _ReachedError(x)


def _calls(network: nn.Module, *arguments: Tensor) -> list[tuple[str, tuple[int, ...]]]:
    """Return which convolutions and linear layers a pass calls, by path, and the shapes of what they are given."""
    calls: list[tuple[str, tuple[int, ...]]] = []

    def note(path: str, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        calls.append((path, tuple(given[0].shape[1:])))

    hooks = [
        module.register_forward_pre_hook(partial(note, path))
        for path, module in network.named_modules()
        if path and isinstance(module, nn.Linear | nn.Conv2d)
    ]
    try:
        with torch.no_grad():
            network.eval()(*arguments)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _head(last: nn.Module | None, shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return what takes the last layer's place; None: a linear layer on all features."""
    bias = getattr(last, "bias", None) is not None
    if isinstance(last, nn.Conv2d) and (last.kernel_size != shape[1:] or last.padding not in ("valid", (0, 0))):
        form: dict[str, Any] = {name: getattr(last, name) for name in ("kernel_size", "stride", "padding", "dilation")}
        conv = nn.Conv2d(shape[0], classes, **form, bias=bias)
        return nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), classes, bias=bias))


def _ends_in_a_unit(architecture: Architecture) -> bool:
    """Whether the discriminator has a table whose last row takes all its input for one number."""
    rows = [*layer_inputs(architecture, "discriminator")]
    return len(rows) > 1 and _sees_everything(*rows[-1])


def _sees_everything(layer: Layer, shape: tuple[int, ...]) -> bool:
    """Whether a layer is linear, or a convolution that takes all its input for one number."""
    return layer.kind == "linear" or (layer.kind == "conv" and layer.kernel_size == shape[1:] and layer.padding == 0)


@dataclass(frozen=True)
class Labelled:
    """Images with their classes.

    Attributes:
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @cached_property
    def sha256(self) -> str:
        """Hash of the content."""
        return hash_parts({"images": hash_array(self.images), "labels": hash_array(self.labels)})


@dataclass(frozen=True)
class ClassifierSettings:
    """How a classifier is trained.

    Attributes:
        learning_rate: Of AdamW.
        beta1: Decay of AdamW's mean.
        weight_decay: Decoupled, on kernels and matrices alone; a step shrinks them by learning_rate x weight_decay.
        dropout: Share of the last layer's inputs that are set to 0.
        label_smoothing: Share of the target that is spread over all classes.
        shift: Images are moved by up to so many pixels either way; the edge is repeated.
        mirror: Whether half of the images are mirrored.
        batch: Images per minibatch.
        epochs: At most so many.
        patience: Training ends after so many epochs without a new least error on the stopping images.
        frozen: Whether the trunk keeps its random weights and only the last layer learns.
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    weight_decay: float = 1e-2
    dropout: float = 0.0
    label_smoothing: float = 0.0
    shift: int = 0
    mirror: bool = False
    batch: int = 64
    epochs: int = 30
    patience: int = 8
    frozen: bool = False


@dataclass(frozen=True)
class TrainedClassifier:
    """What a training gave.

    Attributes:
        losses: (epochs run,) mean training loss.
        errors: (epochs run,) error on the stopping images.
        state: The weights of the epoch with the least of them, the first of equals.
    """

    losses: list[float]
    errors: list[float]
    state: dict[str, Tensor]

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, from 0."""
        return int(np.argmin(self.errors))

    def network(self, architecture: Architecture, classes: int) -> Classifier:
        """Return the trained network in evaluation mode."""
        network = Classifier.random(architecture, classes, torch.Generator().manual_seed(0))
        network.load_state_dict(self.state)
        return network.eval()


def train_classifier(
    architecture: Architecture,
    classes: int,
    train: Labelled,
    stopping: Labelled,
    settings: ClassifierSettings,
    seed: int,
    progress: Progress = silent,
) -> TrainedClassifier:
    """Train an architecture's discriminator to tell classes apart.

    Args:
        architecture: Whose discriminator.
        classes: K.
        train: What it learns from.
        stopping: What decides when it stops, and which epoch is kept.
        settings: How.
        seed: Origin of all randomness.
        progress: Told of epochs.

    A training whose loss is no longer finite ends there; an error of 1 is noted for that epoch.
    """
    # Trials have seeds of 62 random bits, of which torch's generator keeps 32.
    source = torch_generator(seed % 2**32)
    network = Classifier.random(architecture, classes, source)
    if settings.frozen:
        network.trunk.requires_grad_(False)
    optimizer = _optimizer(network, settings)
    losses: list[float] = []
    errors: list[float] = []
    state: dict[str, Tensor] = {}
    while len(losses) < settings.epochs and _epochs_without_gain(errors) < settings.patience:
        loss = _epoch(network, optimizer, train, settings, np.random.default_rng([seed, len(losses)]), source)
        finite = bool(np.isfinite(loss))
        error = float((predict(network, stopping.images) != stopping.labels).mean()) if finite else 1.0
        if not errors or error < min(errors):
            state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        losses.append(loss)
        errors.append(error)
        progress("epochs", len(losses), settings.epochs)
        if not finite:
            break
    return TrainedClassifier(losses, errors, state)


def _epochs_without_gain(errors: list[float]) -> int:
    return len(errors) - 1 - int(np.argmin(errors)) if errors else 0


def predict(network: Classifier, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the class numbers (N,) that a network gives to images, uint8 (N, C, H, W), in evaluation mode."""
    numbers: NDArray[np.int64] = outputs(network, images, _preparation(network), batch=_BATCH).argmax(1).numpy()
    return numbers


def augment(images: NDArray[np.uint8], shift: int, mirror: bool, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Move each image by up to ``shift`` pixels, repeating its edge, and mirror half of them if asked to.

    Example:
        >>> augment(np.arange(3, dtype=np.uint8).reshape(1, 1, 1, 3), 0, False, np.random.default_rng(0)).tolist()
        [[[[0, 1, 2]]]]
    """
    n, _, height, width = images.shape
    if shift:
        wide = np.pad(images, ((0, 0), (0, 0), (shift, shift), (shift, shift)), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(wide, (height, width), axis=(2, 3))
        top, left = rng.integers(2 * shift + 1, size=(2, n))
        images = windows[np.arange(n), :, top, left]
    if mirror:
        turned = np.flatnonzero(rng.random(n) < 0.5)
        images = images.copy()
        images[turned] = images[turned, ..., ::-1]
    return np.ascontiguousarray(images)


def _optimizer(network: Classifier, settings: ClassifierSettings) -> torch.optim.AdamW:
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in learning if one.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [one for one in learning if one.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=(settings.beta1, 0.999),
        fused=True,
    )


def _epoch(
    network: Classifier,
    optimizer: torch.optim.Optimizer,
    train: Labelled,
    settings: ClassifierSettings,
    rng: np.random.Generator,
    source: torch.Generator,
) -> float:
    """Pass over the training images once; return the mean loss."""
    prepare = _preparation(network)
    order = rng.permutation(len(train.labels))

    def minibatches() -> Iterator[tuple[Tensor, Tensor]]:
        # Nearly equal: batch normalisation must never see a single image.
        for chosen in np.array_split(order, max(1, round(len(order) / settings.batch))):
            images = prepare(augment(train.images[chosen], settings.shift, settings.mirror, rng))
            yield images, torch.from_numpy(train.labels[chosen])

    def forward(images: Tensor) -> Tensor:
        features = network.features(images)
        if settings.dropout:
            kept = torch.rand(features.shape, generator=source) >= settings.dropout
            features = features * kept / (1 - settings.dropout)
        return network.judge(features)

    network.train()
    loss = partial(F.cross_entropy, label_smoothing=settings.label_smoothing)
    # Somebody's modules may drop units or add noise by torch's global generator.
    with seeded(int(rng.integers(2**31))) if network.foreign else nullcontext():
        return train_network(forward, optimizer, minibatches(), loss)


def _preparation(network: Classifier) -> Any:
    architecture = network.architecture
    return Preprocessing.for_range(architecture.image_shape, architecture.image_range)
