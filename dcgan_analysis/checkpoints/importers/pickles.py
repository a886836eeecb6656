"""A pickle read without unpickling it: nothing is imported and nothing that it names is called.

A pickle is a program for a small stack machine, and its ``REDUCE`` calls whatever it names. Here the same opcodes build
plain values; a class or function that the file names becomes a :class:`Global`, what it is called with or filled with
becomes a :class:`Record`, which does nothing. Only the few names that a reader hands over (tensor rebuilding, ordered
dictionaries) are given a meaning, by functions of the reader's own. Work and memory are bounded by the file's size and
by the limits below.

Source: ``pickletools`` of the standard library, which documents every opcode.
"""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Global", "PickleError", "ProgramError", "Record", "read_pickle"]

_MOST_OPCODES = 5_000_000
_MOST_OBJECTS = 500_000
_LONGEST_STRING = 1 << 26
# What only a program would call; nothing is called here, but such a file is no file of weights.
_PROGRAM = re.compile(
    r"(?:os|posix|nt|subprocess|sys|importlib|runpy|shutil|socket|pty|ctypes|code|webbrowser|multiprocessing|pickle"
    r"|marshal|asyncio|threading|tempfile|urllib|requests|http)\..*|(?:builtins|__builtin__)\.(?:eval|exec|compile|open"
    r"|getattr|setattr|__import__|globals|input|breakpoint|print)"
)
_PLAIN_KEYS = (str, int, float, bool, bytes, type(None))


class PickleError(ValueError):
    """What a pickle holds cannot be represented, or it is no whole pickle."""


class ProgramError(PickleError):
    """A pickle calls what only a program would call."""


@dataclass(frozen=True)
class Global:
    """A class or function that a pickle names, never looked up.

    Attributes:
        name: Module and name: ``"torch.nn.modules.conv.Conv2d"``.
    """

    name: str


@dataclass(eq=False)
class Record:
    """An object of a class, or the result of a call, that a pickle describes.

    Attributes:
        name: The class or function: ``"torch.nn.modules.conv.Conv2d"``.
        args: What it was called with.
        state: Its attributes, where the pickle gives them as a dictionary.
        entries: Items of a class derived from ``dict``.
        elements: Items of a class derived from ``list`` or ``set``.
    """

    name: str
    args: tuple[Any, ...] = ()
    state: dict[Any, Any] = field(default_factory=dict)
    entries: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)

    def __repr__(self) -> str:
        """Show the name alone: the content may refer to itself."""
        return f"Record({self.name!r})"


class _Opaque:
    """Stands for a dictionary's key that is no plain value; comparing or hashing the real one could take for ever."""


class _Bounded:
    """A stream that hands out no more than a bounded number of bytes at a time."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, n: int) -> bytes:
        if n > _LONGEST_STRING:
            msg = f"it holds a string of {n:,} bytes"
            raise PickleError(msg)
        return self._stream.read(n)

    def readline(self) -> bytes:
        line = self._stream.readline(_LONGEST_STRING)
        if len(line) == _LONGEST_STRING:
            msg = f"it holds a line of {len(line):,} bytes or more"
            raise PickleError(msg)
        return line

    def tell(self) -> int:
        return self._stream.tell()


def read_pickle(
    stream: IO[bytes],
    calls: Mapping[str, Callable[..., Any]],
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Read one pickle from a stream, which is left behind its end.

    Args:
        stream: Bytes.
        calls: What calls of these names mean: our own functions, given the call's arguments.
        persistent: What a persistent id means: torch's storages.

    Returns:
        Dictionaries, lists, tuples, strings, numbers, :class:`Global`, :class:`Record`, and what ``calls`` and
        ``persistent`` return.

    Raises:
        PickleError: If it is damaged, or larger than a pickle of weights is.

    Example:
        >>> import io, pickle
        >>> read_pickle(io.BytesIO(pickle.dumps({"a": print})), {})
        {'a': Global(name='builtins.print')}
    """
    machine = _Machine(calls, persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(_Bounded(stream))):  # type: ignore[arg-type]
            if count > _MOST_OPCODES:
                msg = f"it has more than {_MOST_OPCODES:,} opcodes"
                raise PickleError(msg)
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except PickleError:
        raise
    except Exception as error:  # A crafted program makes the machine fail in any way.
        msg = f"it is damaged ({type(error).__name__})"
        raise PickleError(msg) from None
    msg = "it ends too early"
    raise PickleError(msg)


_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = frozenset(
    [
        "FLOAT",
        "BINFLOAT",
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
    ]
)
_FIXED_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NOTHING = frozenset(("PROTO", "FRAME"))


class _Machine:
    """The stack machine: one method for each kind of opcode."""

    def __init__(self, calls: Mapping[str, Callable[..., Any]], persistent: Callable[[Any], Any] | None) -> None:
        self._calls = calls
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._objects = 0

    def step(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _FIXED_TUPLES:
            count = _FIXED_TUPLES[name]
            items = tuple(self.pop() for _ in range(count))[::-1]
            self._stack.append(items)
        elif name not in _NOTHING:
            method = getattr(self, f"_{name.lower()}", None)
            if method is None:
                msg = f"it uses the opcode {name}"
                raise PickleError(msg)
            if argument is None:
                method()
            else:
                method(argument)

    def pop(self) -> Any:
        floor = self._marks[-1] if self._marks else 0
        if len(self._stack) <= floor:
            msg = "it takes more from its stack than there is"
            raise PickleError(msg)
        return self._stack.pop()

    def _new(self, value: Any) -> None:
        self._objects += 1
        if self._objects > _MOST_OBJECTS:
            msg = f"it makes more than {_MOST_OBJECTS:,} objects"
            raise PickleError(msg)
        self._stack.append(value)

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    # Stack and memo.

    def _mark(self) -> None:
        self._marks.append(len(self._stack))

    def _pop(self) -> None:
        # The opcode also takes away a mark on top.
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self.pop()

    def _pop_mark(self) -> None:
        self._since_mark()

    def _dup(self) -> None:
        self._stack.append(self._stack[-1])

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    _binget = _long_binget = _get

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    _binput = _long_binput = _put

    def _memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    # Containers.

    def _empty_list(self) -> None:
        self._new([])

    def _empty_dict(self) -> None:
        self._new({})

    # A set of unhashable records could not be one; order and repetition do not matter to a reader of weights.
    _empty_set = _empty_list

    def _list(self) -> None:
        self._new(self._since_mark())

    _frozenset = _list

    def _tuple(self) -> None:
        self._stack.append(tuple(self._since_mark()))

    def _dict(self) -> None:
        items = self._since_mark()
        self._new({})
        self._fill(items)

    def _append(self) -> None:
        item = self.pop()
        _elements(self._stack[-1]).append(item)

    def _appends(self) -> None:
        items = self._since_mark()
        _elements(self._stack[-1]).extend(items)

    _additems = _appends

    def _setitem(self) -> None:
        value, key = self.pop(), self.pop()
        self._fill([key, value])

    def _setitems(self) -> None:
        self._fill(self._since_mark())

    def _fill(self, items: list[Any]) -> None:
        target = self._stack[-1]
        entries = target.entries if isinstance(target, Record) else target
        if type(entries) is not dict:
            msg = f"it puts entries into a {type(entries).__name__}"
            raise PickleError(msg)
        for key, value in zip(items[::2], items[1::2], strict=True):
            entries[key if isinstance(key, _PLAIN_KEYS) else _Opaque()] = value

    # Classes, functions, objects.

    def _global(self, text: str) -> None:
        self._new(Global(".".join(text.split(" ", 1))))

    def _stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            msg = "it names a class by what is no name"
            raise PickleError(msg)
        self._new(Global(f"{module}.{name}"))

    def _reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        self._call(function, arguments)

    _newobj = _reduce

    def _newobj_ex(self) -> None:
        self.pop()  # keyword arguments of __new__: nothing that holds weights has them
        self._reduce()

    def _inst(self, text: str) -> None:
        arguments = tuple(self._since_mark())
        self._call(Global(".".join(text.split(" ", 1))), arguments)

    def _obj(self) -> None:
        function, *arguments = self._since_mark()
        self._call(function, tuple(arguments))

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(arguments, tuple):
            msg = "it calls something with what are no arguments"
            raise PickleError(msg)
        if not isinstance(function, Global):
            self._new(Record(f"a call of a {_kind(function)}", arguments))
            return
        if _PROGRAM.fullmatch(function.name):
            raise ProgramError(function.name)
        meaning = self._calls.get(function.name)
        self._new(Record(function.name, arguments) if meaning is None else meaning(*arguments))

    def _build(self) -> None:
        state = self.pop()
        target = self._stack[-1]
        if isinstance(target, Record):
            # With slots, a pair: attributes, and slots by name.
            for part in state if isinstance(state, tuple) else (state,):
                if isinstance(part, dict):
                    target.state.update(part)
        # Attributes of an ordered dictionary (a state dict's versions) say nothing of the weights.

    def _persid(self, text: str) -> None:
        self._stack.append(self._resolve(text))

    def _binpersid(self) -> None:
        self._stack.append(self._resolve(self.pop()))

    def _resolve(self, key: Any) -> Any:
        if self._persistent is None:
            msg = "it refers to something outside of it"
            raise PickleError(msg)
        return self._persistent(key)


def _elements(target: Any) -> list[Any]:
    if isinstance(target, Record):
        return target.elements
    if type(target) is not list:
        msg = f"it appends to a {_kind(target)}"
        raise PickleError(msg)
    return target


def _kind(value: Any) -> str:
    return value.name if isinstance(value, Global | Record) else type(value).__name__
