"""What can be said of foreign weights that their files do not say themselves."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from dcgan_analysis.core.settings import Settings
from dcgan_analysis.models.architecture import Activation, LabelJoin, NormKind, Role, UpsampleMode  # noqa: TC001 - pydantic

__all__ = ["EpochSettings", "ImportSettings", "NetworkSettings", "ReadSettings"]

_Sizes = int | tuple[int, ...] | None


class NetworkSettings(Settings):
    """What a file may leave open of a network's layers; one value for all of them, or a list in their order."""

    operation: Literal["conv", "deconv"] | tuple[Literal["conv", "deconv"], ...] | None = Field(
        default=None, description="whether kernels are convolutions or transposed ones (deconv)"
    )
    stride: _Sizes = Field(default=None, description="stride of each kernel")
    padding: _Sizes = Field(default=None, description="padding of each kernel, or what a deconv cuts off")
    output_padding: _Sizes = Field(default=None, description="rows and columns less that a deconv cuts off")
    activation: Activation | tuple[Activation, ...] | None = Field(
        default=None, description="after each layer but the last; relu in generators, leaky_relu in discriminators"
    )
    slope: float | None = Field(default=None, description="of LeakyReLU, 0.2 by default")
    output: Activation | None = Field(default=None, description="after the last layer; tanh in generators")
    upsample: UpsampleMode | None = Field(default=None, description="how maps are made larger without weights")
    norm: NormKind | None = Field(default=None, description="kind of normalisation; batch by default")
    norm_groups: int | None = Field(default=None, ge=1, description="groups of channels of group normalisation")
    batchnorm_eps: float | tuple[float, ...] | None = Field(
        default=None, description="added to the variance, 1e-5 by default (Keras: 1e-3)"
    )
    label: LabelJoin | None = Field(
        default=None, description="how the class is joined: one_hot, embedding, embedding_add, embedding_multiply"
    )
    label_first: bool | None = Field(default=None, description="whether the class comes before what it is joined to")
    reshape: tuple[int, int, int] | None = Field(
        default=None, description="(channels, height, width) of the maps that units become"
    )


class ImportSettings(Settings):
    """Settings that all formats share."""

    z_prior: Literal["uniform", "normal"] | None = Field(
        default=None, description="distribution of the latent vectors in training; by default the usual one"
    )
    data: dict[str, Any] = Field(default_factory=dict, description="the training images, as in data.name=svhn")
    batchnorm: Literal["stored", "reestimate"] = Field(
        default="stored", description="use the statistics in the file, or estimate them anew on samples"
    )
    reference: str | None = Field(
        default=None,
        description="images for the discriminator's BatchNorm statistics: a dataset's name, or a path",
    )

    def metadata(self, z_prior: str, **more: Any) -> dict[str, Any]:
        """Return the checkpoint's metadata, with ``z_prior`` where none was set."""
        return {"z_prior": self.z_prior or z_prior, "data": self.data, **more}


class EpochSettings(ImportSettings):
    """Settings of formats that keep the weights of several epochs in one folder."""

    epoch: int | None = Field(default=None, ge=0, description="the number in the files' names")


class ReadSettings(EpochSettings, NetworkSettings):
    """Settings of the readers that make out a network by themselves."""

    key: str | tuple[str, ...] | None = Field(
        default=None, description="which entry of the file holds the network, where several could"
    )
    network: Role | None = Field(default=None, description="which network it is, where neither names nor shapes say")
    classes: int | None = Field(default=None, ge=2, description="how many classes the networks are conditioned on")
    ignore: tuple[str, ...] = Field(default=(), description="arrays or modules to leave out, by name")
    image_size: int | None = Field(default=None, ge=1, description="height and width of the images")
    image_range: tuple[float, float] | None = Field(
        default=None, description="lowest and highest pixel value: [-1, 1] for tanh, [0, 1] for sigmoid"
    )
    generator: NetworkSettings = Field(default_factory=NetworkSettings, description="of the generator alone")
    discriminator: NetworkSettings = Field(default_factory=NetworkSettings, description="of the discriminator alone")

    def of(self, role: Role) -> NetworkSettings:
        """Return the settings of one network: its own, or else those for both."""
        own = self.generator if role == "generator" else self.discriminator
        shared = {name: getattr(self, name) for name in NetworkSettings.model_fields}
        own_values = {name: getattr(own, name) for name in own.model_fields_set}
        return NetworkSettings.model_construct(**{**shared, **own_values})
