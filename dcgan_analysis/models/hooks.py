"""Taps: values of a forward pass, read or changed by name; what watches a network is always taken off again.

A tap is the path of a module, ``"conv1"`` or ``"main.2"``: the value that it returns, at the moment it returns it. Two
endings say more: ``"act:1"`` is the second call of a module that is called several times in one pass, ``"conv1:after"``
what the elementwise activation makes of it that follows, be it a module or a function.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dcgan_analysis.errors import ArchitectureError, unknown_name
from dcgan_analysis.models.operations import Following, operation_name, tensors_in, writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_AFTER = "after"

GLOBAL_HOOKS = tuple(name for name in vars(nn.modules.module) if name.startswith("_global_") and "hook" in name)
"""Names of the dictionaries in ``torch.nn.modules.module`` that hold what is called for every module of the process."""


def has_global_hooks() -> bool:
    """Return whether something was registered that sees, and may change, every forward pass of this process."""
    return any(getattr(nn.modules.module, name) for name in GLOBAL_HOOKS if "forward" in name)


@dataclass(frozen=True)
class Tap:
    """A tap's name in its parts.

    Attributes:
        path: Of the module.
        call: Which of its calls in one pass, from 0; None: the only one.
        after: Whether what the activation makes of it is meant.

    Example:
        >>> Tap.parse("main.0:1:after")
        Tap(path='main.0', call=1, after=True)
    """

    path: str
    call: int | None = None
    after: bool = False

    @classmethod
    def parse(cls, name: str) -> Tap:
        """Take a name apart.

        Raises:
            ArchitectureError: If its endings are not those of a tap.
        """
        path, *endings = name.split(":")
        after = endings[-1:] == [_AFTER]
        calls = endings[:-1] if after else endings
        if len(calls) > 1 or not all(call.isdecimal() for call in calls):
            msg = f"Tap '{name}' must be the path of a module, with ':0', ':1', ... for its calls, or ':{_AFTER}'."
            raise ArchitectureError(msg)
        return cls(path, int(calls[0]) if calls else None, after)


class _Watch(TorchFunctionMode):
    """Hands the value of each tap to a function, which may return another value for the rest of the pass.

    Args:
        network: Any module.
        taps: Their names.
        meet: Called with a tap's name and its value. Of an activation that takes several calls it sees each result in
            turn, the last of which counts.
    """

    sees_calls = False

    def __init__(self, network: nn.Module, taps: Sequence[str], meet: Callable[[str, Tensor], Tensor | None]) -> None:
        super().__init__()
        self._network = network
        self._taps = {name: Tap.parse(name) for name in taps}
        self._meet = meet
        self._running = False
        self._calls: dict[str, int] = {}
        self._met: set[str] = set()
        self._following: dict[str, Following] = {}
        _check(network, self._taps)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the forward passes of the block."""
        with ExitStack() as stack:
            stack.callback(self._network.register_forward_pre_hook(self._begin).remove)
            for path in dict.fromkeys(tap.path for tap in self._taps.values()):
                module = self._network.get_submodule(path)
                stack.callback(module.register_forward_hook(partial(self._returned, path)).remove)
            stack.callback(self._network.register_forward_hook(self._end).remove)
            if self.sees_calls or any(tap.after for tap in self._taps.values()):
                stack.enter_context(self)
            yield

    def before(self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        """Called before each call of torch in a pass, where ``sees_calls`` says so or a tap needs it."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        keywords = kwargs or {}
        if not self._running:
            return func(*args, **keywords)
        self.before(func, args, keywords)
        result = func(*args, **keywords)
        if self._following:
            name, tensors = operation_name(func), [*tensors_in((args, keywords))]
            for tap, following in self._following.items():
                if following.see(name, tensors, result):
                    self._met.add(tap)
                    changed = self._meet(tap, result)
                    if changed is not None:
                        following.replace(changed)
                        result = changed
        return result

    def _begin(self, *_: object) -> None:
        self._calls.clear()
        self._met.clear()
        self._following.clear()
        self._running = True

    def _returned(self, path: str, _: nn.Module, __: object, output: object) -> Tensor | None:
        call = self._calls[path] = self._calls.get(path, -1) + 1
        result: Tensor | None = None
        for name, tap in self._taps.items():
            if tap.path != path or tap.call not in (None, call):
                continue
            value = output if result is None else result
            if not isinstance(value, Tensor):
                msg = f"Tap '{name}' gives a {type(value).__name__}, not a tensor. Choose a module within it."
                raise ArchitectureError(msg)
            if tap.after:
                self._following[name] = Following(value)
                continue
            self._met.add(name)
            changed = self._meet(name, value)
            result = result if changed is None else changed
        return result

    def _end(self, *_: object) -> None:
        self._running = False
        self._following.clear()
        for name, tap in self._taps.items():
            calls = self._calls.get(tap.path, -1) + 1
            ending = f":{_AFTER}" if tap.after else ""
            known = ", ".join(f"{tap.path}:{call}{ending}" for call in range(calls))
            if tap.call is None and calls > 1:
                msg = f"Tap '{name}': the forward pass comes by it {calls} times. Choose one of {known}."
                raise ArchitectureError(msg)
            if tap.call is not None and 0 < calls <= tap.call:
                msg = f"Tap '{name}': the forward pass comes by '{tap.path}' {calls} times. Choose one of {known}."
                raise ArchitectureError(msg)
            if not calls:
                msg = f"The forward pass never reaches tap '{name}'. Choose another."
                raise ArchitectureError(msg)
            if name not in self._met:
                msg = (
                    f"Tap '{name}': no elementwise activation works on what '{tap.path}' returns. "
                    f"Choose '{name.removesuffix(ending)}', or a module behind it."
                )
                raise ArchitectureError(msg)


def _check(network: nn.Module, taps: Mapping[str, Tap]) -> None:
    for name, tap in taps.items():
        try:
            known = bool(tap.path) and isinstance(network.get_submodule(tap.path), nn.Module)
        except AttributeError:
            known = False
        if not known:
            error = unknown_name("tap", name, [path for path, _ in network.named_children()])
            raise error


class _Capture(_Watch):
    """Keeps the values of taps, and copies one just before it is written over."""

    sees_calls = True

    def __init__(self, network: nn.Module, taps: Sequence[str]) -> None:
        super().__init__(network, taps, self._keep)
        self.outputs: dict[str, Tensor] = {}
        self._original: dict[str, Tensor] = {}

    def _keep(self, tap: str, value: Tensor) -> None:
        self.outputs[tap] = self._original[tap] = value

    def before(self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        if not self._original or not writes(function, arguments, keywords):
            return
        places = {_place(tensor) for tensor in tensors_in((arguments, keywords))}
        for tap, value in list(self._original.items()):
            if _place(value) in places:
                self.outputs[tap] = value.clone()
                del self._original[tap]


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


@contextmanager
def capture(network: nn.Module, taps: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the values of taps during the forward passes of the block.

    Args:
        network: Any module; its hooks are as before when the block ends, also after an error.
        taps: Their names, for the built-in architectures those of the layers: ``"conv1"``, ...

    Yields:
        A dictionary that each forward pass fills anew: tap -> value, usually (N, C, H, W). A value is that of the
        moment when the module returned, also where the network writes over it later.

    Raises:
        UnknownNameError: If a tap is no module of the network.
        ArchitectureError: If two taps are the same; in the forward pass, if it does not come by a tap, or comes by it
            several times and the name does not say which is meant.

    Example:
        >>> import torch
        >>> network = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.ReLU(inplace=True))
        >>> _ = torch.nn.init.ones_(network[0].weight), torch.nn.init.zeros_(network[0].bias)
        >>> with torch.no_grad(), capture(network, ["0", "0:after"]) as outputs:
        ...     _ = network(torch.tensor([[-1.0]]))
        >>> outputs
        {'0': tensor([[-1.]]), '0:after': tensor([[0.]])}
    """
    if len(set(taps)) != len(taps):
        msg = f"Taps must differ, got {', '.join(taps)}."
        raise ArchitectureError(msg)
    watch = _Capture(network, taps)
    with watch.watching():
        yield watch.outputs


class _ReachedError(Exception):
    """Carries a tap's value out of the forward pass, whose rest nobody needs."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output


# Taps of which one whole pass has shown that it comes by them once.
_passed_once: WeakKeyDictionary[nn.Module, set[str]] = WeakKeyDictionary()


def run_to(network: nn.Module, tap: str, *arguments: Tensor) -> Tensor:
    """Run a network up to a tap and return its value; what comes after is not computed once the tap is known.

    Args:
        network: Any module; its hooks are as before afterwards, also after an error.
        tap: Its name.
        arguments: The network's arguments.

    Raises:
        UnknownNameError: If the tap is no module of the network.
        ArchitectureError: If the forward pass does not come by it, or comes by it several times and the name does not
            say which is meant.

    Example:
        >>> import torch
        >>> network = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Softplus())
        >>> run_to(network, "0", torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    known = _passed_once.setdefault(network, set())
    if tap not in known or Tap.parse(tap).after:
        with capture(network, [tap]) as outputs:
            network(*arguments)
        known.add(tap)
        return outputs[tap]

    def stop(_: str, value: Tensor) -> None:
        raise _ReachedError(value)

    try:
        with _Watch(network, [tap], stop).watching():
            network(*arguments)
    except _ReachedError as reached:
        return reached.output
    msg = f"The forward pass never reaches tap '{tap}'. Choose another."
    raise ArchitectureError(msg)


@contextmanager
def drop_maps(network: nn.Module, maps: Mapping[str, Sequence[int]], *, rows: int | None = None) -> Iterator[None]:
    """Set feature maps to zero at all positions during the forward passes of the block.

    Args:
        network: Any module; its weights do not change, its hooks are as before when the block ends, also after an
            error.
        maps: Tap -> numbers of the maps (channels) of its value, (N, C, H, W) or (N, C).
        rows: Only in so many first rows of each batch; None: in all.

    Raises:
        UnknownNameError: If a tap is no module of the network.
        ArchitectureError: In the forward pass, if there is no such map.

    Example:
        >>> network = torch.nn.Sequential(torch.nn.ReLU())
        >>> with drop_maps(network, {"0": [1]}):
        ...     network(torch.tensor([[1.0, 2.0]]))
        tensor([[1., 0.]])
    """

    def drop(tap: str, value: Tensor) -> Tensor | None:
        dropped, size = list(maps[tap]), value.shape[1]
        if not dropped:
            return None
        _check_maps(tap, dropped, size)
        mask = torch.ones(size, dtype=value.dtype, device=value.device)
        mask[dropped] = 0
        mask = mask.view(1, -1, *[1] * (value.dim() - 2))
        return value * mask if rows is None else torch.cat([value[:rows] * mask, value[rows:]])

    with _Watch(network, list(maps), drop).watching():
        yield


@contextmanager
def set_maps(
    network: nn.Module, tap: str, levels: Mapping[int, float | Tensor], where: Callable[[tuple[int, int]], Tensor]
) -> Iterator[None]:
    """Set feature maps to given levels at some positions during the forward passes of the block.

    Args:
        network: Any module; its weights do not change, its hooks are as before when the block ends, also after an
            error.
        tap: Whose value, (N, C, H, W).
        levels: Number of a map (channel) -> what it is set to: one number, or a map (H, W).
        where: Returns the positions (N, H, W) for a map's height and width, as booleans.

    Raises:
        UnknownNameError: If the tap is no module of the network.
        ArchitectureError: In the forward pass, if there is no such map.

    Example:
        >>> network = torch.nn.Sequential(torch.nn.ReLU())
        >>> with set_maps(network, "0", {0: 5.0}, lambda size: torch.eye(2).bool()[None]):
        ...     network(torch.ones(1, 1, 2, 2))
        tensor([[[[5., 1.],
                  [1., 5.]]]])
    """

    def put(_: str, value: Tensor) -> Tensor:
        _check_maps(tap, list(levels), value.shape[1])
        places = where((value.shape[2], value.shape[3])).to(value.device)
        changed = value.clone()
        for number, level in levels.items():
            constant = torch.as_tensor(level).to(value)
            changed[:, number] = torch.where(places, constant, value[:, number])
        return changed

    with _Watch(network, [tap], put).watching():
        yield


def _check_maps(tap: str, numbers: Sequence[int], size: int) -> None:
    if numbers and (min(numbers) < 0 or max(numbers) >= size):
        msg = f"Layer '{tap}' has the maps 0 to {size - 1}, got {min(numbers)} to {max(numbers)}."
        raise ArchitectureError(msg)
