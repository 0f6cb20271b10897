"""Recipes: one YAML file says everything about a training run. No torch here."""

from training.recipe.reading import read_recipe
from training.recipe.schema import Recipe

__all__ = ["Recipe", "read_recipe"]
