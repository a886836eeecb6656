"""Attribution methods by name: ours where Captum's hooks miss LeakyReLU, Captum's for the rest. No torch on import."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dcgan_analysis.core.randomness import seeded
from dcgan_analysis.errors import unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from dcgan_analysis.units.attribution.guided import BackwardRule
    from dcgan_analysis.units.attribution.units import UnitResponse, Units

_STEPS = 32  # of integrated gradients; samples of gradient-shap and smoothgrad
_BATCH = 32  # images, or steps on the way from gray, that go through the network at once
_SMOOTHING = 0.15  # noise of smoothgrad as a share of the image range, as Smilkov et al. 2017 recommend
_WINDOW, _STRIDE = 4, 2  # pixels of occlusion
_BASELINES = 16


@dataclass(frozen=True)
class Method:
    """An attribution method.

    Attributes:
        kind: ``gradient``: a direction in which pixels would have to change, shown in colour; ``contribution``: how
            much of the response each pixel brings, shown with its sign.
        summary: One line.
        make: Maps a response and the images to attributions.
        batch: Images at once.
    """

    kind: Literal["gradient", "contribution"]
    summary: str
    make: Callable[[UnitResponse, _Inputs], Tensor]
    batch: int = _BATCH


@dataclass(frozen=True)
class _Inputs:
    images: Tensor
    further: tuple[Any, ...]
    image_range: tuple[float, float]

    @property
    def gray(self) -> float:
        """The middle of the range: the absence of an image in the methods that need one."""
        return sum(self.image_range) / 2

    @property
    def extent(self) -> float:
        return self.image_range[1] - self.image_range[0]


def _rule(rule: BackwardRule) -> Callable[[UnitResponse, _Inputs], Tensor]:
    def make(response: UnitResponse, inputs: _Inputs) -> Tensor:
        from dcgan_analysis.units.attribution.guided import RuleBackprop

        return RuleBackprop(response, rule).attribute(inputs.images, additional_forward_args=inputs.further)

    return make


def _saliency(response: UnitResponse, inputs: _Inputs) -> Any:
    from captum.attr import Saliency

    return Saliency(response).attribute(inputs.images, abs=False, additional_forward_args=inputs.further)


def _smoothgrad(response: UnitResponse, inputs: _Inputs) -> Any:
    from captum.attr import NoiseTunnel, Saliency

    return NoiseTunnel(Saliency(response)).attribute(
        inputs.images,
        nt_type="smoothgrad",
        nt_samples=_STEPS,
        nt_samples_batch_size=1,
        stdevs=_SMOOTHING * inputs.extent,
        abs=False,
        additional_forward_args=inputs.further,
    )


def _input_x_gradient(response: UnitResponse, inputs: _Inputs) -> Any:
    # Captum's InputXGradient measures from 0, which is gray in [-1, 1] and black in [0, 1]; here it is always gray.
    return (inputs.images - inputs.gray) * _saliency(response, inputs)


def _integrated_gradients(response: UnitResponse, inputs: _Inputs) -> Any:
    from captum.attr import IntegratedGradients

    return IntegratedGradients(response).attribute(
        inputs.images,
        baselines=inputs.gray,
        n_steps=_STEPS,
        internal_batch_size=_BATCH,
        additional_forward_args=inputs.further,
    )


def _gradient_shap(response: UnitResponse, inputs: _Inputs) -> Any:
    import torch
    from captum.attr import GradientShap

    source = torch.Generator().manual_seed(0)
    shape = (_BASELINES, *inputs.images.shape[1:])
    noise = torch.randn(shape, generator=source) * _SMOOTHING * inputs.extent
    baselines = (inputs.gray + noise).clamp(*inputs.image_range).to(inputs.images.device)
    return GradientShap(response).attribute(
        inputs.images, baselines=baselines, n_samples=_STEPS, additional_forward_args=inputs.further
    )


def _occlusion(response: UnitResponse, inputs: _Inputs) -> Any:
    from captum.attr import Occlusion

    channels = inputs.images.shape[1]
    return Occlusion(response).attribute(
        inputs.images,
        sliding_window_shapes=(channels, _WINDOW, _WINDOW),
        strides=(channels, _STRIDE, _STRIDE),
        baselines=inputs.gray,
        additional_forward_args=inputs.further,
    )


METHODS: Mapping[str, Method] = {
    "guided-backprop": Method("gradient", "positive signals through active units only", _rule("guided")),
    "guided-backprop-leaky": Method(
        "gradient", "positive signals; inactive units pass their slope's share", _rule("leaky")
    ),
    "deconvolution": Method("gradient", "positive signals, active or not", _rule("deconv")),
    "saliency": Method("gradient", "the plain gradient", _saliency),
    "smoothgrad": Method("gradient", "the plain gradient, averaged over noisy copies", _smoothgrad),
    "input-x-gradient": Method("contribution", "distance from gray times gradient", _input_x_gradient),
    "integrated-gradients": Method("contribution", "gradients along the way from gray", _integrated_gradients),
    "gradient-shap": Method("contribution", "expected gradients from noisy gray", _gradient_shap, 4),
    "occlusion": Method("contribution", "fall of the response behind a gray window", _occlusion),
}
"""Name -> method."""


def check_method(name: str) -> str:
    """Return the name of a method.

    Raises:
        UnknownNameError: If there is none of this name; the message has the nearest.

    Example:
        >>> check_method("saliency")
        'saliency'
    """
    if name not in METHODS:
        error = unknown_name("attribution method", name, METHODS)
        raise error
    return name


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep Captum's remarks on hooks and gradients off the user, and its draws off the global random states."""
    with seeded(0), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"captum\.")
        warnings.filterwarnings("ignore", message="Input Tensor 0 did not already require gradients")
        yield


def attribute(
    method: str,
    response: UnitResponse,
    images: Tensor,
    units: Units,
    *,
    image_range: tuple[float, float] = (-1.0, 1.0),
    labels: Tensor | None = None,
) -> Tensor:
    """Attribute the responses of units to the pixels of images.

    Args:
        method: A name from ``METHODS``.
        response: The network, cut at a tap.
        images: (N, C, H, W) in ``image_range``.
        units: One unit for each image.
        image_range: Lowest and highest pixel value; the middle is the baseline of the methods that need one.
        labels: (N,), for a conditional network.

    Returns:
        Attributions (N, C, H, W), float32 on the CPU. Random methods draw from a fixed seed.

    Raises:
        UnknownNameError: If the method is unknown.

    Example:
        >>> import torch
        >>> from dcgan_analysis.units.attribution import UnitResponse, Units
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.LeakyReLU(0.2))
        >>> _ = torch.nn.init.constant_(network[0].weight, 3.0)
        >>> units = Units.of(features=[0], positions=[1])
        >>> attribute("saliency", UnitResponse(network, "1"), torch.ones(1, 1, 1, 2), units)
        tensor([[[[0., 3.]]]])
    """
    import torch

    chosen = METHODS[check_method(method)]
    parts = []
    for start in range(0, len(images), chosen.batch):
        part = slice(start, start + chosen.batch)
        device = images.device
        further = [units[part].features.to(device), units[part].positions.to(device)]
        if labels is not None:
            further.append(labels[part].to(device))
        with _undisturbed():
            inputs = _Inputs(images[part].detach(), tuple(further), image_range)
            parts.append(chosen.make(response, inputs).detach().float().cpu())
    return torch.cat(parts) if parts else torch.empty_like(images)
