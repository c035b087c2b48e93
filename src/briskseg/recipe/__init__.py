"""A run, described: frozen pydantic models that read from and write to one YAML file.

A recipe is complete in itself: what it does not say has the default written in its class, nothing
is inherited. The data set alone says how many classes there are.
"""

from __future__ import annotations

from briskseg.recipe.faults import key_paths
from briskseg.recipe.loading import AnyRecipe, list_recipes, load_recipe, read_recipe, recipe_text
from briskseg.recipe.parts import LengthPart, OptimizerPart, SchedulePart
from briskseg.recipe.pretraining import CropPart, ImagesPart, PretrainingRecipe
from briskseg.recipe.segmentation import (
    AugmentPart,
    DataPart,
    Factor,
    LossPart,
    ModelPart,
    OhemPart,
    ProgressiveResizePart,
    Recipe,
    StagePart,
    TeacherPart,
    TrainingPart,
)

__all__ = [
    "AnyRecipe",
    "AugmentPart",
    "CropPart",
    "DataPart",
    "Factor",
    "ImagesPart",
    "LengthPart",
    "LossPart",
    "ModelPart",
    "OhemPart",
    "OptimizerPart",
    "PretrainingRecipe",
    "ProgressiveResizePart",
    "Recipe",
    "SchedulePart",
    "StagePart",
    "TeacherPart",
    "TrainingPart",
    "key_paths",
    "list_recipes",
    "load_recipe",
    "read_recipe",
    "recipe_text",
]
