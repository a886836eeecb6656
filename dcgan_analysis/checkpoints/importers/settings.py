"""What can be said of foreign weights that their files do not say themselves."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from dcgan_analysis.core.settings import Settings

__all__ = ["EpochSettings", "ImportSettings"]


class ImportSettings(Settings):
    """Settings that all formats share."""

    z_prior: Literal["uniform", "normal"] | None = Field(
        default=None, description="distribution of the latent vectors in training; by default the usual one"
    )
    data: dict[str, Any] = Field(default_factory=dict, description="the training images, as in data.name=svhn")

    def metadata(self, z_prior: str, **more: Any) -> dict[str, Any]:
        """Return the checkpoint's metadata, with ``z_prior`` where none was set."""
        return {"z_prior": self.z_prior or z_prior, "data": self.data, **more}


class EpochSettings(ImportSettings):
    """Settings of formats that keep the weights of several epochs in one folder."""

    epoch: int | None = Field(default=None, ge=0, description="the number in the files' names")
