"""Settings of a training, with the paper's values as defaults."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from dcgan_analysis.config import Settings

__all__ = ["TrainingConfig"]


class TrainingConfig(Settings):
    """What is trained on what, and how (arXiv 1511.06434, section 4; settings of the authors' code)."""

    dataset: str = Field(default="cifar10", description="registered name, or path of a zip or folder")
    split: str = Field(
        default="train", description="split that is trained on; labels are used by conditional networks only"
    )
    architecture: str = Field(default="dcgan32", description="registered name")
    parameters: dict[str, Any] = Field(default_factory=dict, description="parameters of the architecture: width, ...")
    epochs: PositiveFloat = Field(default=25.0, description="passes of the discriminator over the images")
    batch_size: int = Field(default=128, ge=2, description="images per minibatch")
    learning_rate: PositiveFloat = Field(default=2e-4, description="Adam's step size")
    beta1: float = Field(default=0.5, ge=0, lt=1, description="Adam's first decay rate")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="Adam's second decay rate")
    weight_decay: float = Field(
        default=0.0, ge=0, description="L2 penalty added to the gradient (MNIST models: 2.5e-5)"
    )
    ema: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay of a moving average of the generator's weights, which the checkpoint then holds; 0: none",
    )
    z_prior: Literal["uniform", "normal"] = Field(default="uniform", description="uniform in [-1, 1], or N(0, 1)")
    precision: Literal["bfloat16", "float32"] = Field(
        "bfloat16", description="arithmetic of convolutions and products (autocast); weights stay float32"
    )
    seed: int = Field(default=0, ge=0, description="initial weights, data order, latent vectors")
    sample_every: PositiveInt = Field(default=1, description="epochs between sample grids")
