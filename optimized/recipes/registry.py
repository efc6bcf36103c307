"""The table of recipes, one line each. Importing it does not import torch."""

from typing import Any

from optimized.recipes.distillation.recipe import Distil
from optimized.recipes.pruning.recipe import Prune
from optimized.recipes.random_shape import Shape

RECIPES: dict[str, type[Any]] = {"distil": Distil, "prune": Prune, "shape": Shape}
"""The recipes that a ladder may use, by kind."""
