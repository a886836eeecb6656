"""Guided backpropagation for networks of LeakyReLU, as a Captum attribution (Springenberg et al. 2014, 1412.6806).

Captum's ``GuidedBackprop`` and ``Deconvolution`` replace the gradient of ``nn.ReLU`` and of nothing else: on a
discriminator of LeakyReLU both silently give the plain gradient. Here the rule is defined for LeakyReLU as well.

With x the input of the nonlinearity, s its slope for x <= 0 (ReLU: 0) and R the signal that comes back from above:

| rule          | what goes on below it          | at s = 0 it is                             |
|---------------|--------------------------------|--------------------------------------------|
| ``guided``    | max(R, 0) where x > 0, else 0  | guided backpropagation                     |
| ``leaky``     | max(R, 0) (1 where x > 0 or s) | guided backpropagation                     |
| ``deconv``    | max(R, 0)                      | the deconvolution of Zeiler and Fergus 2013 |

``guided`` is Springenberg's definition word for word: the signal is masked where it is negative itself or where the
data coming up were. ``leaky`` generalises the derivative instead of the mask: units that the image switched off pass
their slope's share. Both are the usual rule on ReLU, so the literature does not decide; ``guided`` is the default,
because it keeps the property that guided backpropagation is used for: nothing of the map comes through a unit that did
not respond. In practice they hardly differ: on the last conv layer of ``cifar10-dcgan32`` their maps correlate at 0.99
(48 attributions on CIFAR-10 test images), while that of ``guided`` with the plain gradient is 0.26. ``deconv`` is here
for comparison: without max-pooling, whose switches it would follow, it does not depend on the image at all.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from captum.attr import GradientAttribution
from torch import Tensor, nn

from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["BackwardRule", "RuleBackprop", "backward_rule"]

BackwardRule = Literal["guided", "leaky", "deconv"]


class _Ruled(torch.autograd.Function):
    """Passes a nonlinearity's output on, and the signal back to its input by a rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, output: Tensor, rule: BackwardRule, slope: float) -> Tensor:
        ctx.rule, ctx.slope = rule, slope
        ctx.save_for_backward(x > 0)
        return output.clone()

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor, None, None, None]:
        (active,) = ctx.saved_tensors
        signal = signals[0].clamp(min=0)
        match ctx.rule:
            case "guided":
                signal = signal * active
            case "leaky":
                signal = torch.where(active, signal, ctx.slope * signal)
        return signal, None, None, None


@contextmanager
def backward_rule(network: nn.Module, rule: BackwardRule) -> Iterator[None]:
    """Let all ReLU and LeakyReLU modules of a network pass signals back by a rule; what they compute stays the same.

    Nonlinearities called as functions (``F.leaky_relu``) are not seen and keep their gradient.

    Args:
        network: Any module; hooks and in-place flags are as before when the block ends, also after an error.
        rule: ``guided``, ``leaky`` or ``deconv``, see the module's description.

    Raises:
        AnalysisError: If the network has no such module: the result would be the plain gradient.

    Example:
        >>> network = nn.Sequential(nn.LeakyReLU(0.2))
        >>> x = torch.tensor([[-1.0, 2.0, 3.0]], requires_grad=True)
        >>> with backward_rule(network, "guided"):
        ...     (network(x) * torch.tensor([1.0, 1.0, -1.0])).sum().backward()
        >>> x.grad
        tensor([[0., 1., 0.]])
    """
    found = [module for module in network.modules() if isinstance(module, nn.ReLU | nn.LeakyReLU)]
    if not found:
        msg = (
            "Guided backpropagation and deconvolution change the gradient of nn.ReLU and nn.LeakyReLU modules; this "
            "network has none. Use --set method=saliency or integrated-gradients."
        )
        raise AnalysisError(msg)
    with ExitStack() as stack:
        for module in found:
            # In place, the input would be overwritten before its sign is read.
            stack.callback(setattr, module, "inplace", module.inplace)
            module.inplace = False
            slope = module.negative_slope if isinstance(module, nn.LeakyReLU) else 0.0
            stack.callback(module.register_forward_hook(_hook(rule, slope)).remove)
        yield


def _hook(rule: BackwardRule, slope: float) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        result: Tensor = _Ruled.apply(inputs[0], output.detach(), rule, slope)
        return result

    return hook


class RuleBackprop(GradientAttribution):  # type: ignore[misc]  # captum ships no types
    """Attribution by backpropagation under a rule; Captum's interface.

    Args:
        model: A module; its hooks are as before after each call, also after an error.
        rule: ``guided``, ``leaky`` or ``deconv``.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 1, bias=False), nn.LeakyReLU(0.2))
        >>> with torch.no_grad():
        ...     _ = network[0].weight.copy_(torch.tensor([[1.0, -1.0]]))
        >>> RuleBackprop(network).attribute(torch.tensor([[3.0, 1.0]]), target=0)
        tensor([[ 1., -1.]])
    """

    def __init__(self, model: nn.Module, rule: BackwardRule = "guided") -> None:
        super().__init__(model)
        self.model = model
        self.rule: BackwardRule = rule

    def attribute(self, inputs: Tensor, target: Any = None, additional_forward_args: Any = None) -> Tensor:
        """Return the signal that arrives at the inputs.

        Args:
            inputs: The model's first argument (N, ...); not changed.
            target: Which output, as in Captum; None where the model gives one number for each input.
            additional_forward_args: The model's further arguments.

        Returns:
            As the inputs (N, ...).
        """
        leaf = inputs.detach().clone().requires_grad_(True)
        with backward_rule(self.model, self.rule):
            signals = self.gradient_func(self.forward_func, (leaf,), target, additional_forward_args)
        result: Tensor = signals[0].detach()
        return result
