"""The files of a run folder that others look for too; `runs/run_folder.py` has all of them."""

RECIPE = "recipe.yaml"
WEIGHTS = "model.safetensors"
SCORES = "scores.json"
ENCODER = "encoder.safetensors"
SEED = "seed-"  # with its number: a run of several, a folder each
