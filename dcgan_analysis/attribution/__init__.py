"""Which pixels a unit answers to: attribution methods by name, the guided rule for LeakyReLU, and what maps look like.

Names are loaded when first used, and captum with the first attribution.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan_analysis.attribution.ascent import Ascent, ascend
    from dcgan_analysis.attribution.closeness import relative_distances
    from dcgan_analysis.attribution.guided import BackwardRule, RuleBackprop, backward_rule
    from dcgan_analysis.attribution.measures import MapMeasures, correlations, measure_maps
    from dcgan_analysis.attribution.methods import METHODS, attribute, check_method
    from dcgan_analysis.attribution.pictures import attribution_picture
    from dcgan_analysis.attribution.stability import agreement, shifted
    from dcgan_analysis.attribution.units import UnitResponse, Units

__all__ = [
    "METHODS",
    "Ascent",
    "BackwardRule",
    "MapMeasures",
    "RuleBackprop",
    "UnitResponse",
    "Units",
    "agreement",
    "ascend",
    "attribute",
    "attribution_picture",
    "backward_rule",
    "check_method",
    "correlations",
    "measure_maps",
    "relative_distances",
    "shifted",
]

_HOMES = {
    "METHODS": "methods",
    "Ascent": "ascent",
    "BackwardRule": "guided",
    "MapMeasures": "measures",
    "RuleBackprop": "guided",
    "UnitResponse": "units",
    "Units": "units",
    "agreement": "stability",
    "ascend": "ascent",
    "attribute": "methods",
    "attribution_picture": "pictures",
    "backward_rule": "guided",
    "check_method": "methods",
    "correlations": "measures",
    "measure_maps": "measures",
    "relative_distances": "closeness",
    "shifted": "stability",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
