"""The learning rate over a run, as a factor of the optimizer's."""

from __future__ import annotations

from briskseg.recipe import SchedulePart


def factor(part: SchedulePart, step: int, steps: int, steps_per_epoch: int) -> float:
    """The factor for a step.

    Args:
        part: the recipe's schedule.
        step: optimizer steps done, 0 .. steps.
        steps: of the whole run, or of a stage.
        steps_per_epoch: `by: epoch` counts whole epochs of this many.

    Returns:
        poly: least + (1 - least) (1 - t) ** power with t the share of the run that is done (Chen et
        al., DeepLab, 2017, section 4.1; ERFNet's official code counts whole epochs; the floor as in
        MMSegmentation). step: the factor of the last milestone passed, before the first one 1.
        exponential: the factor to the power of the epochs, or steps, after the milestone.
        constant: 1. During the first `warmup` steps the result rises evenly from 1 / warmup of
        itself.
    """
    warm = min(1.0, (step + 1) / part.warmup) if part.warmup else 1.0
    by_epoch = part.by == "epoch"
    done = step // steps_per_epoch if by_epoch else step
    value = 1.0
    if part.name == "poly":
        whole = max(1, -(-steps // steps_per_epoch) if by_epoch else steps)
        left = float(max(0.0, 1 - done / whole) ** part.power)
        value = part.least + (1 - part.least) * left
    elif part.name == "step":
        passed = [f for m, f in zip(part.milestones, part.factors, strict=True) if done >= m]
        value = passed[-1] if passed else 1.0
    elif part.name == "exponential":
        value = float(part.factors[0] ** max(0, done - part.milestones[0]))
    return warm * value
