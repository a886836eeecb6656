"""Errors that are meant for the user: the command line prints them as one line, without a traceback.

Every message names the thing, the value, what is allowed and the next step.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import ValidationError

__all__ = [
    "AnalysisError",
    "AnnotationError",
    "ArchitectureError",
    "CheckpointError",
    "ConfigError",
    "DatasetError",
    "DcganAnalysisError",
    "RegistrationError",
    "StoreError",
    "TrainingError",
    "TrainingStopped",
    "UnknownNameError",
    "unknown_name",
]

_LISTED_NAMES = 20
_LONGEST_VALUE = 100


class DcganAnalysisError(Exception):
    """Base of all errors that the user can act on; its text is shown as it stands."""


class ConfigError(DcganAnalysisError):
    """A setting is unknown, has the wrong type, or lies outside its range."""


class UnknownNameError(DcganAnalysisError):
    """A name (analysis, dataset, architecture, ...) is not registered."""


class ArchitectureError(DcganAnalysisError):
    """An architecture cannot be built with these parameters, or does not fit the weights."""


class DatasetError(DcganAnalysisError):
    """A dataset is absent, unreadable, or unfit for what is asked of it."""


class CheckpointError(DcganAnalysisError):
    """A checkpoint is absent, damaged, or of another kind than asked for."""


class StoreError(DcganAnalysisError):
    """A feature store is absent, damaged, incomplete, or of a foreign format."""


class TrainingError(DcganAnalysisError):
    """A training cannot start, go on, or be resumed."""


class TrainingStopped(KeyboardInterrupt):
    """A training ended early because somebody asked for it; its state is saved.

    Args:
        message: Where it stopped and how it goes on.
        signal: Number of the signal that asked.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


class AnalysisError(DcganAnalysisError):
    """An analysis cannot run on what it was given."""


class AbsentError(AnalysisError):
    """An analysis asks its context for a checkpoint or a dataset that the run does not have."""


class AnnotationError(DcganAnalysisError):
    """Boxes or exemplars are absent, damaged, or of another network's samples."""


class RegistrationError(DcganAnalysisError):
    """A plugin registers something that breaks the contract, or a name that is taken."""


def unknown_name(kind: str, name: str, available: Iterable[str], failed: Sequence[str] = ()) -> UnknownNameError:
    """Build the error for a name that is not registered, with the nearest known name.

    Args:
        kind: What was looked for, in the singular: ``"analysis"``, ``"dataset"``, ...
        name: The name as given.
        available: All names that would have been accepted.
        failed: Plugins that failed to load: the name may be one of theirs.

    Returns:
        The error, ready to be raised.

    Example:
        >>> str(unknown_name("analysis", "svm-cifr", ["svm-cifar"]))
        "Unknown analysis 'svm-cifr'. Did you mean 'svm-cifar'? Available: svm-cifar."
    """
    names = sorted(available)
    close = difflib.get_close_matches(name, names, n=1)
    guess = f" Did you mean '{close[0]}'?" if close else ""
    shown = ", ".join(names[:_LISTED_NAMES]) or "none"
    more = f" and {len(names) - _LISTED_NAMES} more" if len(names) > _LISTED_NAMES else ""
    broken = f" Plugins that failed: {', '.join(failed)} (see: dcgan-analyze plugins)." if failed else ""
    return UnknownNameError(f"Unknown {kind} '{name}'.{guess} Available: {shown}{more}.{broken}")


def describe_error(error: BaseException) -> str:
    """Return type and text of an error on one line, without a full stop at its end.

    Example:
        >>> describe_error(ModuleNotFoundError("No module named 'lpips'"))
        "ModuleNotFoundError: No module named 'lpips'"
    """
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        return f"{error.title}: {refused_fields(error)}"
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def refused_fields(error: ValidationError) -> str:
    """Return what a model refuses, on one line without a full stop at its end: fields, reasons and values.

    Example:
        >>> from pydantic import TypeAdapter, ValidationError
        >>> try:
        ...     TypeAdapter(dict[str, int]).validate_python({"width": "wide"})
        ... except ValidationError as error:
        ...     refused_fields(error)
        "width: must be a valid integer, unable to parse string as an integer, got 'wide'"
    """
    parts = []
    for item in error.errors():
        text = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        # A model-level check speaks of several fields: showing the whole input would say nothing.
        field = ".".join(map(str, item["loc"]))
        shown = repr(item["input"])
        cut = shown if len(shown) <= _LONGEST_VALUE else f"{shown[:_LONGEST_VALUE]}..."
        parts.append(f"{field}: {text}, got {cut}" if field else text)
    return " ".join("; ".join(parts).split())
