from .extractor import FeatureExtractor as FeatureExtractor
from .extractor import FeatureSpec as FeatureSpec
from .pipeline import Extraction as Extraction
from .pipeline import extract as extract
from .store import FeatureStore as FeatureStore
