"""Settings of a training, with the paper's values as defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from dcgan_analysis.core.settings import Settings

if TYPE_CHECKING:
    import torch

OPTIONS = (
    "label_smoothing",
    "spectral_norm",
    "ema",
    "ema_discriminator",
    "mirror",
    "diff_augment",
    "learning_rate_decay",
    "reuse_samples",
    "self_supervised",
)
"""What goes beyond the paper's plain recipe; all of it is off by default, and named in the checkpoint's metadata."""

# Settings that may change between a training and its resume without making it another training.
_FREE = frozenset(
    {"preset", "epochs", "sample_every", "save_minutes", "keep_states", "probe_every", "probe_dataset", "tensorboard"}
)


class TrainingConfig(Settings):
    """What is trained on what, and how (arXiv 1511.06434, section 4; settings of the authors' code)."""

    preset: str = Field(default="", description="preset that the settings began with; empty: none")
    dataset: str = Field(default="cifar10", description="registered name, or path of a zip or folder")
    split: str = Field(
        default="train", description="split that is trained on; labels are used by conditional networks only"
    )
    images: PositiveInt | None = Field(default=None, description="use the first so many images of the split; none: all")
    leave_out: str | None = Field(
        default=None, description="near-duplicates not to train on: file of dcgan-analyze dedup; none: all are used"
    )
    architecture: str = Field(default="dcgan32", description="registered name")
    parameters: dict[str, Any] = Field(default_factory=dict, description="parameters of the architecture: width, ...")
    start_from: str | None = Field(
        default=None,
        description="checkpoint, by name or path, whose networks the training starts from; none: random weights",
    )
    widen: bool = Field(
        default=False,
        description="start_from may be narrower: its maps become the first of each layer, random ones are added",
    )
    epochs: PositiveFloat = Field(default=25.0, description="passes of the discriminator over the images")
    batch_size: int = Field(
        default=128, ge=2, description="images per minibatch, in all processes of a distributed training together"
    )
    learning_rate: PositiveFloat = Field(default=2e-4, description="Adam's step size")
    learning_rate_decay: Literal["none", "linear", "cosine"] = Field(
        default="none", description="how the step size falls to zero towards the end"
    )
    decay_start: float = Field(default=0.5, ge=0, lt=1, description="share of the training after which it falls")
    beta1: float = Field(default=0.5, ge=0, lt=1, description="Adam's first decay rate")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="Adam's second decay rate")
    weight_decay: float = Field(
        default=0.0, ge=0, description="L2 penalty added to the gradient (MNIST models: 2.5e-5)"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=0.5, description="real images are to be judged 1 minus this (one-sided; usual: 0.1)"
    )
    spectral_norm: bool = Field(default=False, description="divide each discriminator kernel by its spectral norm")
    ema: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay of a moving average of the generator's weights, which the checkpoint then holds; 0: none",
    )
    ema_discriminator: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay of a moving average of the discriminator's weights, which the checkpoint then holds and the "
        "training does not use; 0: none",
    )
    mirror: bool = Field(default=False, description="mirror real images left to right with probability one half")
    diff_augment: tuple[Literal["color", "translation", "cutout"], ...] = Field(
        default=(), description="differentiable augmentations of all images that the discriminator sees"
    )
    reuse_samples: bool = Field(
        default=False,
        description="show the discriminator the images of the generator's update instead of fresh ones: "
        "one forward pass less",
    )
    self_supervised: Literal["none", "rotation"] = Field(
        default="none",
        description="rotation: the discriminator also tells by how many quarter turns a quarter of the images are "
        "turned; the checkpoint is without the head that does",
    )
    z_prior: Literal["uniform", "normal"] = Field(default="uniform", description="uniform in [-1, 1], or N(0, 1)")
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        default="auto",
        description="arithmetic of convolutions and products (autocast); weights stay float32; "
        "auto: bfloat16 where the device has units for it",
    )
    sync_batchnorm: bool = Field(
        default=False, description="in a distributed training: batch normalisation over all processes' images"
    )
    seed: NonNegativeInt = Field(default=0, description="initial weights, data order, latent vectors")
    sample_every: PositiveInt = Field(default=1, description="epochs between checkpoints, sample grids and monitors")
    save_minutes: NonNegativeFloat = Field(
        default=10.0, description="minutes after which the state is saved also between these; 0: never"
    )
    keep_states: PositiveInt = Field(default=2, description="newest states kept")
    probe_every: NonNegativeInt = Field(
        default=0, description="epochs between measurements of the feature accuracy; 0: none"
    )
    probe_images: int = Field(
        default=4000,
        ge=10,
        description="labelled training images of that measurement, of those that are not trained on where there are so "
        "many; a fifth of them is judged",
    )
    probe_dataset: str | None = Field(
        default=None,
        description="labelled dataset of the network's image shape whose training images are measured, by name or "
        "path; none: the training's own dataset",
    )
    tensorboard: bool = Field(default=False, description="write event files for TensorBoard")

    @model_validator(mode="after")
    def _augmentations_are_distinct(self) -> Self:
        if len(set(self.diff_augment)) != len(self.diff_augment):
            msg = f"diff_augment: each augmentation once, got {', '.join(self.diff_augment)}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _averaged_kernels_are_plain(self) -> Self:
        if self.ema_discriminator and self.spectral_norm:
            msg = "ema_discriminator: not together with spectral_norm, whose kernels are divided by norms of the latest"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _widen_needs_start_from(self) -> Self:
        if self.widen and self.start_from is None:
            msg = "widen: needs start_from, the checkpoint to widen"
            raise ValueError(msg)
        return self

    def resolved(self, device: torch.device) -> TrainingConfig:
        """Return the settings with ``precision`` decided for a device, as metadata and state record it."""
        if self.precision != "auto":
            return self
        from dcgan_analysis.core.device import has_bfloat16_units

        return self.model_copy(update={"precision": "bfloat16" if has_bfloat16_units(device) else "float32"})


def free_settings(config: TrainingConfig) -> frozenset[str]:
    """Return what may change between a training and its resume; a falling step size depends on ``epochs``."""
    return _FREE - {"epochs"} if config.learning_rate_decay != "none" else _FREE
