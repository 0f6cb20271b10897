"""Synthetic collections of any size that prune and rank like the real one they are fitted to.

Vectors drawn term by term reproduce document frequencies but not co-occurrence, on which pruning
depends. Documents are therefore spliced from neighbouring real ones, one group of related terms at
a time (`model`), in blocks generated on demand (`collection`). How well pruning and the density of
scores are reproduced is measured (`pruning`, `crowding`).
"""

from lsr_eval.synthetic.collection import SyntheticCollection, SyntheticQueries
from lsr_eval.synthetic.crowding import compare_crowding, crowding
from lsr_eval.synthetic.model import fit
from lsr_eval.synthetic.pruning import compare_pruning, pruning_profile

__all__ = [
    "SyntheticCollection",
    "SyntheticQueries",
    "compare_crowding",
    "compare_pruning",
    "crowding",
    "fit",
    "pruning_profile",
]
