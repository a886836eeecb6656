"""Named architectures: what plugins register, and the ones that come with the framework."""

from __future__ import annotations

import difflib
import inspect
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from dcgan_analysis.core.registry import call_registered
from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models import layers, tables
from dcgan_analysis.models.architecture import Architecture

if TYPE_CHECKING:
    from collections.abc import Callable


# No layer is this wide, and torch's sizes end at 64 bits.
_LARGEST = 1_000_000


@dataclass(frozen=True)
class ArchitectureEntry:
    """A registered architecture: a name and the function that makes it from its parameters.

    Attributes:
        name: Lower-case words joined by hyphens.
        summary: One line for listings.
        build: Takes keyword parameters, all with defaults, and returns the ``Architecture``.

    Example:
        >>> entry = {e.name: e for e in builtin_architectures()}["dcgan32"]
        >>> entry.create(width=64).parameters["width"]
        64
    """

    name: str
    summary: str
    build: Callable[..., Architecture]

    def defaults(self) -> dict[str, Any]:
        """Return the parameters with their default values."""
        signature = inspect.signature(self.build)
        return {name: parameter.default for name, parameter in signature.parameters.items()}

    def create(self, /, **parameters: Any) -> Architecture:
        """Make the architecture.

        Raises:
            ArchitectureError: If a parameter is unknown, of another type than its default, or not positive; if what
                builds it fails, or makes something else.
        """
        defaults = self.defaults()
        for key, value in parameters.items():
            if key not in defaults:
                close = difflib.get_close_matches(key, defaults, n=1)
                guess = f" Did you mean '{close[0]}'?" if close else ""
                msg = f"Architecture '{self.name}' has no parameter '{key}'.{guess} Available: {', '.join(defaults)}."
                raise ArchitectureError(msg)
            self._check(key, value, defaults[key])
        failure, build = f"Architecture '{self.name}' could not be built", partial(self.build, **parameters)
        return call_registered(build, Architecture, ArchitectureError, failure=failure, name="build")

    def _check(self, key: str, value: Any, default: Any) -> None:
        if isinstance(default, bool):
            fits, allowed = isinstance(value, bool), "true or false"
        elif isinstance(default, int):
            least = min(default, 1)
            fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= _LARGEST
            allowed = f"a whole number from {least} to {_LARGEST:,}"
        elif isinstance(default, float):
            fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
            allowed = "a number > 0"
        else:
            fits, allowed = True, ""
        if not fits:
            msg = f"Architecture '{self.name}': {key} must be {allowed}, got {value!r}."
            raise ArchitectureError(msg)


def builtin_architectures() -> list[ArchitectureEntry]:
    """Return the paper's architectures, the one that most weights found elsewhere are for, and any other's tables."""
    return [
        ArchitectureEntry("dcgan32", "32x32, six 3x3 convolutions: the paper's CIFAR-10 features", tables.dcgan32),
        ArchitectureEntry(
            "dcgan32-svhn", "32x32, three 5x5 convolutions: the paper's SVHN network", tables.dcgan32_svhn
        ),
        ArchitectureEntry("dcgan64", "64x64, Figure 1: LSUN bedrooms and faces", tables.dcgan64),
        ArchitectureEntry("dcgan64-4x4", "64x64, 4x4 kernels: PyTorch's widespread DCGAN example", tables.dcgan64_4x4),
        ArchitectureEntry("dcgan28-conditional", "28x28, class-conditional MNIST (8.1)", tables.dcgan28_conditional),
        ArchitectureEntry(
            "mlp-conditional",
            "fully connected, the permutation-invariant baseline (8.1)",
            tables.mlp_conditional,
        ),
        ArchitectureEntry(layers.NAME, "any networks that tables of layers say, as imported ones do", layers.layers),
    ]
