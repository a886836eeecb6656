"""Architectures of somebody's own classes, declared by one call: in a plugin's file, or in a notebook."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.models.registry import ArchitectureEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import nn

    from dcgan_analysis.models.architecture import Architecture

_declared: dict[str, dict[str, ArchitectureEntry]] = {}
_loading: ContextVar[bool] = ContextVar("loading", default=False)


def declared_by(plugin: object) -> list[ArchitectureEntry]:
    """Return the architectures that a plugin's module declared when it was imported."""
    return [*_declared.get(getattr(plugin, "__name__", ""), {}).values()]


@contextmanager
def loading() -> Iterator[None]:
    """While a plugin is imported, what it declares is the plugin's; a host registers it afterwards."""
    token = _loading.set(True)
    try:
        yield
    finally:
        _loading.reset(token)


def register_module_architecture(
    name: str,
    *,
    generator: Callable[[], nn.Module] | None = None,
    discriminator: Callable[[], nn.Module] | None = None,
    latent: int | Sequence[int] | None = None,
    image: Sequence[int] | None = None,
    image_range: tuple[float, float] = (-1.0, 1.0),
    classes: int = 0,
    taps: Sequence[str] | None = None,
    summary: str = "modules of its own",
) -> ArchitectureEntry:
    """Register an architecture of your own classes: its networks can be trained, saved, loaded and analysed.

    In a plugin's file the call is enough; the plugin needs no hook for it. Elsewhere, in a notebook say, the
    architecture is known to this process from then on. Nothing is built before the architecture is used.

    Args:
        name: Lower-case words joined by hyphens; checkpoints are saved under it.
        generator: Makes the generator: a class, or ``lambda: G(nz=100)``; None: there is none.
        discriminator: Makes the discriminator; None: there is none.
        latent: As of ``wrap``, like the arguments up to ``taps``.
        image: (C, H, W).
        image_range: Lowest and highest pixel value.
        classes: K, where the networks take labels.
        taps: Taps that give the features.
        summary: One line for listings.

    Returns:
        The entry, as ``dcgan_register_architectures`` registers it too.

    Raises:
        RegistrationError: Outside of a plugin, if the name is malformed or taken.

    Example:
        >>> size = {"latent": 100, "image": (3, 64, 64)}
        >>> register_module_architecture("mine", generator=lambda: G(nz=100), discriminator=D, **size)  # doctest: +SKIP
    """
    makes = {"generator": generator, "discriminator": discriminator}

    @cache
    def made() -> Architecture:
        from dcgan_analysis.core.randomness import seeded
        from dcgan_analysis.models.modules import module_architecture

        with seeded(0):
            networks = {role: _network(make) for role, make in makes.items()}
        known: dict[str, Any] = {"latent": latent, "image": image, "image_range": image_range, "classes": classes}
        architecture, _ = module_architecture(name, **networks, **known, taps=taps)
        structure = "; ".join(f"{role} {text}" for role, text in architecture.parameters.items())
        return replace(architecture, parameters={"structure": structure})

    def build(structure: str = "") -> Architecture:
        architecture = made()
        if structure not in ("", architecture.parameters["structure"]):
            msg = (
                f"Architecture '{name}': its modules compute something else than those that were saved ({structure}; "
                f"now {architecture.parameters['structure']}). Use the code that the weights were made with."
            )
            raise ArchitectureError(msg)
        return architecture

    entry = ArchitectureEntry(name, summary, build)
    module = sys._getframe(1).f_globals.get("__name__", "")
    _declared.setdefault(module, {})[name] = entry
    if not _loading.get():
        from dcgan_analysis.host.host import default_host

        default_host().architectures.add(name, entry, owner=f"module {module}")
    return entry


def _network(make: Any) -> Any:
    """Return what a factory makes; a module that is handed over itself is one already."""
    return make if make is None or (hasattr(make, "named_modules") and not isinstance(make, type)) else make()
