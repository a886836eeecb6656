from .batch import Batch as Batch
from .batch import Outcome as Outcome
from .request import RunRequest as RunRequest
