"""One image after another: along a walk or by arithmetic on exemplars, with feature maps switched off."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_analysis.checkpoints.sampling import as_bytes
from dcgan_analysis.errors import AnnotationError
from dcgan_analysis.models.hooks import capture, drop_maps
from dcgan_analysis.models.tracing import trace_role
from dcgan_analysis_annotate.workspace import png_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from dcgan_analysis_annotate.workspace import Workspace

__all__ = ["POINTS", "Explorer"]

POINTS = 9
"""Random points of a walk, as in section 6.1 of the paper."""


@dataclass
class Explorer:
    """Where one visitor of the page is.

    Attributes:
        workspace: Generator and exemplars.
        walk_seed: Of the walk's points.
        label: Class of a conditional generator.
        z: (1, Z), what is shown.
        off: Layer -> maps that are switched off.
    """

    workspace: Workspace
    walk_seed: int = 0
    label: int = 0
    z: Tensor = field(init=False)
    off: dict[str, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.walk(0.0)

    @cached_property
    def layers(self) -> list[str]:
        """Layers whose maps can be switched off."""
        checkpoint = self.workspace.checkpoint
        return [*trace_role(checkpoint.generator(), checkpoint.architecture, "generator").map_taps]

    def walk(self, position: float) -> None:
        """Go to a place of the straight walk through the points; 0 is the first, ``POINTS - 1`` the last."""
        points = self.workspace.checkpoint.latents(POINTS, self.walk_seed)
        start = min(int(position), POINTS - 2)
        self.z = torch.lerp(points[start], points[start + 1], position - start)[None]

    def calculate(self, a: str, b: str, c: str, *, amount: float = 1.0) -> None:
        """Go to ``c + amount (a - b)``, each the mean of a concept's exemplars; amount 1 is the paper's a - b + c.

        Raises:
            AnnotationError: If a concept has no exemplars.
        """
        means = [self._mean(name) for name in (a, b, c)]
        self.z = (means[2] + amount * (means[0] - means[1]))[None]

    def _mean(self, concept: str) -> Tensor:
        exemplars = self.workspace.exemplars()
        if not exemplars.concepts.get(concept):
            msg = f"Concept '{concept}' has no exemplars. Pick some on the tab Exemplars."
            raise AnnotationError(msg)
        return exemplars.latents(concept, self.workspace.checkpoint).mean(dim=0)

    def images(self) -> tuple[str, str]:
        """Return the image without the maps that are switched off, and with all, as data URLs."""
        off = {layer: sorted(maps) for layer, maps in self.off.items() if maps}
        # Both in one pass: with a single image most of the time goes into reading the weights.
        with drop_maps(self.workspace.sampler.generator, off, rows=1):
            drawn = as_bytes(self.workspace.checkpoint, self._draw(2 if off else 1))
        return png_url(drawn[0]), png_url(drawn[-1])

    def maps(self, layer: str) -> list[str]:
        """Return the maps of a layer for the image shown, as data URLs; white is the strongest activation of all.

        Brightness is the square root of the activation: weak maps are seen beside strong ones.
        """
        with capture(self.workspace.sampler.generator, [layer]) as outputs:
            self._draw()
        values = outputs[layer][0].float().numpy()
        top = max(float(values.max()), 1e-9)
        return [png_url((255 * np.sqrt((one / top).clip(0, 1))).astype(np.uint8)[None]) for one in values]

    def switch(self, layer: str, maps: Sequence[int], *, on: bool) -> None:
        """Switch maps of a layer on or off."""
        maps_off = self.off.setdefault(layer, set())
        if on:
            maps_off.difference_update(maps)
        else:
            maps_off.update(maps)

    def _draw(self, times: int = 1) -> Tensor:
        conditional = self.workspace.checkpoint.architecture.classes > 0
        labels = torch.tensor([self.label] * times) if conditional else None
        return self.workspace.sampler.images(self.z.expand(times, -1), labels)
