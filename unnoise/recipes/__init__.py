"""Recipes: TOML files that spell out constructor calls."""

from unnoise.catalogue.renamed import old_names
from unnoise.data.places import data_table
from unnoise.recipes.load import Recipe, load_recipe, parse_changes, shipped

__all__ = ["Recipe", "data_table", "load_recipe", "parse_changes", "shipped"]

__getattr__ = old_names(
    __name__,
    {
        "Evaluation": "unnoise.evaluation:Evaluation",
        "TensorBoard": "unnoise.tasks:TensorBoard",
        "Tracker": "unnoise.tasks:Tracker",
        "Verified": "unnoise.tasks:Verified",
        "View": "unnoise.views:View",
        "WandB": "unnoise.tasks:WandB",
        "evaluate": "unnoise.tasks:evaluate",
        "prepare": "unnoise.tasks:assemble",
        "train": "unnoise.tasks:train",
        "verify": "unnoise.tasks:verify",
    },
)
