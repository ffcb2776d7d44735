"""Recipes, and everything composed from the floors below to follow one."""

from unnoise.recipes.evaluation import Evaluation
from unnoise.recipes.load import Recipe, data_table, load_recipe, parse_changes, shipped
from unnoise.recipes.measure import evaluate
from unnoise.recipes.run import prepare, train
from unnoise.recipes.trackers import TensorBoard, Tracker, WandB
from unnoise.recipes.verify import Verified, verify
from unnoise.recipes.views import View

__all__ = [
    "Evaluation",
    "Recipe",
    "TensorBoard",
    "Tracker",
    "Verified",
    "View",
    "WandB",
    "data_table",
    "evaluate",
    "load_recipe",
    "parse_changes",
    "prepare",
    "shipped",
    "train",
    "verify",
]
