from .config import TrainingConfig as TrainingConfig
from .presets import Preset as Preset
from .presets import list_presets as list_presets
from .presets import load_preset as load_preset
from .trainer import Trainer as Trainer
from .watching import Steps as Steps
from .watching import Watcher as Watcher
