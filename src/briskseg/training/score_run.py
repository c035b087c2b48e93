"""What follows the last step: logit adjustment where it is asked for, and the scores of the best
weights, through the same evaluator that users run."""

from __future__ import annotations

import json

from briskseg.core.card import load_weights, save_weights
from briskseg.core.files.atomic import write_whole
from briskseg.core.files.safe_names import file_stem
from briskseg.core.images import write_png
from briskseg.core.types import Progress
from briskseg.data import Dataset
from briskseg.evaluation.accuracy import evaluate
from briskseg.recipe import Recipe
from briskseg.runs.run_folder import RunFolder
from briskseg.runtime.backends.torch_backend import TorchBackend
from briskseg.runtime.predictor import Predictor
from briskseg.training.logit_adjustment import adjust_run, seconds_to_adjust
from briskseg.training.session import RunSession

EXAMPLES = 3


def finish_run(
    recipe: Recipe, folder: RunFolder, dataset: Dataset, device: str, session: RunSession
) -> None:
    """Adjust and score the best weights, each where the recipe has it so."""
    if recipe.training.logit_adjustment:
        phases = session.counted("predict"), session.counted("adjust")
        if outcome := adjust_run(folder, dataset, device, *phases):
            session.say(outcome)
    if "val" not in recipe.data.train_splits:
        _score_run(folder, dataset, device, session.counted("score"))


def seconds_to_finish(recipe: Recipe, dataset: Dataset, image_s: float) -> float:
    """An estimate for `finish_run`, from the seconds that the network takes for an image."""
    seconds = 0.0
    if recipe.training.logit_adjustment:
        images, classes = len(dataset.pairs("train")), len(dataset.labels.names)
        seconds += seconds_to_adjust(image_s, images, classes)
    if "val" not in recipe.data.train_splits:
        seconds += (len(dataset.pairs("val")) + 2 * EXAMPLES) * image_s
    return seconds


def _score_run(run: RunFolder, dataset: Dataset, device: str, progress: Progress) -> None:
    """Write the best and worst images' pictures, the mIoU into the card and, last, scores.json of
    `model.safetensors` on val: a run that has it is finished.

    It is not `runtime.load` that opens the run: an export that lies beside the weights, from before
    the run went on, is not what is scored.
    """
    predictor = Predictor(*TorchBackend.open(run.weights, device=device))
    evaluation = evaluate(predictor, dataset, "val", progress=progress)
    ranked = sorted(
        (i for i in evaluation.per_image if i.miou == i.miou), key=lambda i: i.miou, reverse=True
    )
    shown = {"best": ranked[:EXAMPLES], "worst": ranked[::-1][:EXAMPLES]}
    pairs = {pair.name: pair for pair in dataset.pairs("val")}
    run.examples.mkdir(exist_ok=True)
    for stale in run.examples.glob("*.png"):
        stale.unlink()
    for kind, images in shown.items():
        for rank, scored in enumerate(images):
            image, truth = dataset.read(pairs[scored.name])
            palette, stem = dataset.labels.palette, file_stem(scored.name)
            write_png(run.example(kind, rank, stem, "image"), image)
            for part, labels in (("truth", truth), ("prediction", predictor(image))):
                write_png(run.example(kind, rank, stem, part), labels, palette=palette)
    # The card's score becomes what the evaluator found, in float32 and of adjusted logits; a
    # validation while training may have neither.
    tensors, card = load_weights(run.weights)
    scores = {**card.scores, "val_miou": evaluation.miou}
    save_weights(run.weights, tensors, card.model_copy(update={"scores": scores}))
    write_whole(run.scores, json.dumps(evaluation.to_json(), indent=1))
