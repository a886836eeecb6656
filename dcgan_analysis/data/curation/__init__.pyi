from .near_duplicates import SemanticHash as SemanticHash
from .near_duplicates import learn_hash as learn_hash
from .near_duplicates import nearest_hashes as nearest_hashes
