"""Settings: frozen pydantic models, filled from defaults, a TOML file and ``--set key=value``."""

from __future__ import annotations

import difflib
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from dcgan_analysis.core.documents import DocumentError, parse_toml, read_document
from dcgan_analysis.errors import ConfigError, refused_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class _Factory:
    """Stands for a default that is made anew each time, as pydantic shows it."""

    def __repr__(self) -> str:
        return "<factory>"


class _FieldsSignature:
    """The signature of a model, made of its fields when somebody asks."""

    def __get__(self, instance: BaseModel | None, owner: type[BaseModel]) -> Signature:
        if instance is not None:
            msg = "__signature__"  # instances cannot be called
            raise AttributeError(msg)
        parameters = []
        for name, field in owner.model_fields.items():
            plain = Parameter.empty if field.is_required() else field.default
            default = _Factory() if field.default_factory is not None else plain
            parameters.append(Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=field.annotation))
        return Signature(parameters, return_annotation=None)


class DeferredModel(BaseModel):
    """A pydantic model that is cheap to define: its validators are built on first use, its signature shows its fields.

    Example:
        >>> import inspect
        >>> class Point(DeferredModel):
        ...     x: float
        ...     y: float = 0.0
        >>> inspect.signature(Point)
        <Signature (*, x: float, y: float = 0.0) -> None>
    """

    # Listing what is installed needs no validators.
    model_config = ConfigDict(extra="forbid", defer_build=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Let the signature show the fields before pydantic, on first use, makes its own."""
        super().__pydantic_init_subclass__(**kwargs)
        cls.__signature__ = _FieldsSignature()  # type: ignore[assignment]


class Settings(DeferredModel):
    """Base class of everything that can be set.

    Give each field a type, a default and ``Field(description=...)`` with its unit and range; the command line's
    help is made from them.

    Example:
        >>> class Hello(Settings):
        ...     times: int = 1
        >>> Hello.build({"times": 3}).times
        3
    """

    model_config = ConfigDict(frozen=True, validate_default=True, allow_inf_nan=False)

    @classmethod
    def build(cls, settings: Mapping[str, Any]) -> Self:
        """Validate settings.

        Raises:
            ConfigError: One line that names the key, the value and what is allowed.
        """
        for key in settings:
            if key not in cls.model_fields:
                close = difflib.get_close_matches(key, cls.model_fields, n=1)
                guess = f" Did you mean '{close[0]}'?" if close else ""
                allowed = ", ".join(cls.model_fields) or "none"
                msg = f"Unknown setting '{key}'.{guess} Available: {allowed}."
                raise ConfigError(msg)
        try:
            return cls.model_validate(dict(settings))
        except ValidationError as error:
            msg = f"{refused_fields(error)}."
            raise ConfigError(msg) from None


def parse_assignments(pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``key=value`` strings; a value is TOML where it parses as such, otherwise a plain string.

    Raises:
        ConfigError: If a pair has no ``=`` or no key.

    Example:
        >>> parse_assignments(["C=[0.1, 1]", "labels_per_class=400", "test=last-10000"])
        {'C': [0.1, 1], 'labels_per_class': 400, 'test': 'last-10000'}
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            msg = f"A setting is given as key=value, got '{pair}'. Example: labels_per_class=400"
            raise ConfigError(msg)
        try:
            settings[key] = parse_toml(f"value = {text}")["value"]
        except DocumentError:
            settings[key] = text
    return settings


def read_toml(path: Path) -> dict[str, Any]:
    """Read settings from a TOML file.

    Raises:
        ConfigError: If the file is absent, unreadable, or not TOML.
    """
    try:
        return parse_toml(read_document(path))
    except FileNotFoundError:
        msg = f"Configuration file '{path}' does not exist."
        raise ConfigError(msg) from None
    except DocumentError as error:
        msg = f"Configuration file '{path}' is not TOML: {error}."
        raise ConfigError(msg) from None
    except OSError as error:
        msg = f"Configuration file '{path}' cannot be read: {error.strerror}."
        raise ConfigError(msg) from None
