from .ascent import Ascent as Ascent
from .ascent import ascend as ascend
from .guided import RuleBackprop as RuleBackprop
from .methods import METHODS as METHODS
from .methods import attribute as attribute
from .pictures import attribution_picture as attribution_picture
from .units import UnitResponse as UnitResponse
from .units import Units as Units
