"""Recipes: one YAML file says everything about a training run. No torch here."""

from lsr_training.recipe.reading import read_recipe
from lsr_training.recipe.schema import Recipe

__all__ = ["Recipe", "read_recipe"]
