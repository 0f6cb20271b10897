"""Recipes: YAML files that define a training run. This package does not import torch."""

from lsr_training.recipe.reader import read_recipe
from lsr_training.recipe.schema import Recipe

__all__ = ["Recipe", "read_recipe"]
