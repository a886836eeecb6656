from .checkpoint import Checkpoint as Checkpoint
from .sampling import Sampler as Sampler
