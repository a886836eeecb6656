"""JSON and TOML from outside, read with limits: no document may fill the memory, or say what none of ours can."""

from __future__ import annotations

import json
import math
import re
import tomllib
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 64_000_000
"""Bytes that a document may have."""

_DEEPEST = 64
_MOST_DIGITS = 40  # seeds may have more than 64 bits
_LARGEST_TOML = 1_000_000
# A key of very many parts takes the TOML reader time in their square.
_MANY_PARTS = re.compile(rf"(?<![\w'\"-])(?:[\w'\"-]++[ \t]*+\.[ \t]*+){{{_DEEPEST},}}")
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_HALF_OR_NUL = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")


class DocumentError(ValueError):
    """A document is not what it claims to be, or goes beyond the limits."""


def read_document(path: Path) -> str:
    """Read the text of a document.

    Raises:
        DocumentError: If it is a pipe or a device, too large, or not UTF-8.
        OSError: If it cannot be read.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        msg = "it is a pipe or a device"
        raise DocumentError(msg)
    with path.open("rb") as stream:
        content = stream.read(LARGEST + 1)
    _check_size(len(content), LARGEST)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(str(error)) from None


def parse_json(text: str | bytes, *, finite: bool = True) -> Any:
    """Return what a JSON document says.

    Args:
        text: The document, in UTF-8.
        finite: Whether NaN and infinities are refused.

    Raises:
        DocumentError: If it is not JSON, larger than ``LARGEST``, nested more than 64 deep, or holds an integer of more
            than 40 digits, a number that is not finite (unless allowed), or a string with half a character or a NUL.

    Example:
        >>> parse_json('{"epochs": 3}')
        {'epochs': 3}
        >>> parse_json('{"accuracy": NaN}')
        Traceback (most recent call last):
            ...
        dcgan_analysis.core.documents.DocumentError: NaN is no number that may stand here
    """
    _check_size(len(text), LARGEST)
    try:
        if isinstance(text, bytes):
            text = text.decode()
        hooks: dict[str, Any] = {"parse_constant": _refuse_number, "parse_float": _finite} if finite else {}
        document = json.loads(text, parse_int=_integer, **hooks)
    except RecursionError:
        _refuse_depth()
    except DocumentError:
        raise
    except ValueError as error:
        raise DocumentError(str(error)) from None
    if text.count("[") + text.count("{") > _DEEPEST and isinstance(document, dict | list):
        _check_depth(document)
    if _HALF_OR_NUL.search(text):
        _check_strings(document)
    return document


def parse_toml(text: str) -> dict[str, Any]:
    """Return what a TOML document says.

    Raises:
        DocumentError: If it is not TOML, has more than a million characters, or is nested more than 64 deep.
    """
    _check_size(len(text), _LARGEST_TOML)
    if _MANY_PARTS.search(text):
        _refuse_depth()
    try:
        document = tomllib.loads(text)
    except RecursionError:
        _refuse_depth()
    except ValueError as error:
        raise DocumentError(str(error)) from None
    _check_depth(document)
    return document


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        msg = f"it has more than {limit:,} bytes"
        raise DocumentError(msg)


def _refuse_depth() -> NoReturn:
    msg = f"it is nested more than {_DEEPEST} deep"
    raise DocumentError(msg)


def _refuse_number(text: str) -> NoReturn:
    shown = text if len(text) <= _MOST_DIGITS else f"{text[:_MOST_DIGITS]}..."
    msg = f"{shown} is no number that may stand here"
    raise DocumentError(msg)


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        _refuse_number(text)
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        _refuse_number(text)
    return value


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(_DEEPEST):
        values = chain.from_iterable(each.values() if isinstance(each, dict) else each for each in level)
        level = [value for value in values if isinstance(value, dict | list)]
        if not level:
            return
    _refuse_depth()


def _check_strings(document: Any) -> None:
    text = json.dumps(document, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        msg = "a string in it is half a character"
        raise DocumentError(msg) from None
    if _NUL.search(text):
        msg = "a string in it holds a NUL"
        raise DocumentError(msg)
