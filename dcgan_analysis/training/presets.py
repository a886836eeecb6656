"""Named settings of trainings: one TOML file each in the folder ``recipes``.

A file holds ``summary``, ``paper`` (where its values come from), ``deviations`` (what differs from there, and why) and
a table ``settings`` with fields of ``TrainingConfig``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from dcgan_analysis.core.documents import parse_toml
from dcgan_analysis.errors import unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable


@dataclass(frozen=True)
class Preset:
    """A training as the paper describes it.

    Attributes:
        name: Its name on the command line.
        summary: One line.
        paper: Sections and sources of the values.
        deviations: What differs from the source, and why; empty: nothing.
        settings: Fields of ``TrainingConfig``.
    """

    name: str
    summary: str
    paper: str
    deviations: str
    settings: Mapping[str, Any]


def list_presets() -> list[str]:
    """Return the names of all presets, sorted."""
    return sorted(entry.name.removesuffix(".toml") for entry in _recipes().iterdir() if entry.name.endswith("toml"))


def _recipes() -> Traversable:
    return files("dcgan_analysis.training") / "recipes"


def load_preset(name: str) -> Preset:
    """Read a preset.

    Raises:
        UnknownNameError: If there is none of that name.

    Example:
        >>> load_preset("svhn").settings["z_prior"]
        'normal'
    """
    names = list_presets()
    if name not in names:
        error = unknown_name("preset", name, names)
        raise error
    content = parse_toml((_recipes() / f"{name}.toml").read_text(encoding="utf-8"))
    return Preset(name, content["summary"], content["paper"], content["deviations"].strip(), content["settings"])


def with_preset(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a preset's settings, overridden by others; ``parameters`` are merged one by one.

    The preset's parameters are dropped where another architecture is set.

    Example:
        >>> with_preset("imagenet32", {"parameters": {"width": 64}})["parameters"]
        {'width': 64, 'z_size': 256}
    """
    base = dict(load_preset(name).settings)
    if settings.get("architecture", base["architecture"]) != base["architecture"]:
        base.pop("parameters", None)
    merged = {"preset": name, **base, **settings}
    preset_parameters, given_parameters = base.get("parameters"), settings.get("parameters", {})
    if isinstance(preset_parameters, dict) and isinstance(given_parameters, dict):
        merged["parameters"] = {**preset_parameters, **given_parameters}
    return merged
