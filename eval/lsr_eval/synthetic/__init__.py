"""Synthetic collections of any size that prune and rank like the real one they are fitted to.

Vectors drawn term by term reproduce document frequencies but not the co-occurrence that decides
what a pruning engine can skip. New documents are therefore spliced from neighbouring real ones,
group of related terms by group of related terms (`model`), in blocks made on demand
(`collection`); how well pruning and the distances between scores are reproduced is measured, not
assumed (`pruning`, `crowding`).
"""

from lsr_eval.synthetic.collection import SyntheticCollection, SyntheticQueries
from lsr_eval.synthetic.crowding import compare_crowding, crowding
from lsr_eval.synthetic.model import SpliceModel, fit
from lsr_eval.synthetic.pruning import PruningProfile, compare_pruning, pruning_profile

__all__ = [
    "PruningProfile",
    "SpliceModel",
    "SyntheticCollection",
    "SyntheticQueries",
    "compare_crowding",
    "compare_pruning",
    "crowding",
    "fit",
    "pruning_profile",
]
