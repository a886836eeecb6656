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

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from captum.attr import GradientAttribution
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.models.operations import operation_name, writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

BackwardRule = Literal["guided", "leaky", "deconv"]


class _Ruled(torch.autograd.Function):
    """Passes a nonlinearity's output on, and the signal back to its input by a rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, output: Tensor, rule: BackwardRule, slope: float | Tensor) -> Tensor:
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
def backward_rule(rule: BackwardRule) -> Iterator[None]:
    """Let ReLU, LeakyReLU and PReLU pass signals back by a rule, as modules and as functions; values stay the same.

    Args:
        rule: ``guided``, ``leaky`` or ``deconv``, see the module's description.

    Raises:
        AnalysisError: At the end of the block, if none was met in it: the result is the plain gradient.

    Example:
        >>> x = torch.tensor([[-1.0, 2.0, 3.0]], requires_grad=True)
        >>> with backward_rule("guided"):
        ...     (nn.functional.leaky_relu(x, 0.2) * torch.tensor([1.0, 1.0, -1.0])).sum().backward()
        >>> x.grad
        tensor([[0., 1., 0.]])
    """
    mode = _RuleMode(rule)
    with mode:
        yield
    if not mode.met:
        msg = (
            "Guided backpropagation and deconvolution change the gradient of ReLU and LeakyReLU; the network has none "
            "up to this layer. Choose the method saliency or integrated-gradients."
        )
        raise AnalysisError(msg)


class _RuleMode(TorchFunctionMode):
    def __init__(self, rule: BackwardRule) -> None:
        super().__init__()
        self.rule: BackwardRule = rule
        self.met = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        keywords = kwargs or {}
        slope = _slope(operation_name(func), args, keywords)
        if slope is None:
            return func(*args, **keywords)
        self.met = True
        x, *others = args
        written = writes(func, args, keywords)
        with torch.no_grad():
            output = func(x.detach().clone() if written else x.detach(), *others, **keywords)
        result: Tensor = _Ruled.apply(x, output, self.rule, slope)
        # What the network reads is what the call returns, or what it wrote over; inputs are left alone.
        return x.copy_(result) if written and not x.is_leaf else result


def _slope(name: str, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> float | Tensor | None:
    """Return the slope for x <= 0 of a call that is a ReLU of some kind, None of any other."""
    parameters = [*args[1:], *keywords.values()]
    match name:
        case "relu":
            return 0.0
        case "leaky_relu":
            return float(args[1] if len(args) > 1 else keywords.get("negative_slope", 0.01))
        case "prelu":
            weight: Tensor = parameters[0].detach()
            return weight if args[0].dim() < 2 else weight.view(-1, *[1] * (args[0].dim() - 2))
        case "clamp" | "clamp_min":
            lowest = args[1] if len(args) > 1 else keywords.get("min")
            return 0.0 if lowest == 0 and [value for value in parameters if value is not None] == [lowest] else None
    return None


class RuleBackprop(GradientAttribution):  # type: ignore[misc]  # captum ships no types
    """Attribution by backpropagation under a rule; Captum's interface.

    Args:
        model: A module; it is left as it is.
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
        with backward_rule(self.rule):
            signals = self.gradient_func(self.forward_func, (leaf,), target, additional_forward_args)
        result: Tensor = signals[0].detach()
        return result
