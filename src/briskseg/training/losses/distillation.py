"""Knowledge distillation: learning the probabilities that a trained network gives.

Hinton, Vinyals, Dean: "Distilling the Knowledge in a Neural Network", 2015, section 2, at each
position of the image by itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from briskseg.training.losses.cross_entropy import divided


def distillation(
    logits: Tensor,
    taught: Tensor,
    classes: Tensor,
    class_weights: Tensor,
    temperature: float = 1.0,
) -> Tensor:
    """The Kullback-Leibler divergence of the student's probabilities from the teacher's, both of
    logits divided by the temperature T, times T squared, which keeps the gradient's size.

    Args:
        logits: the student's, (N,S,h,w).
        taught: the teacher's, (N,T,h,w).
        classes: (2,C) int64, the classes that both have: the student's index, the teacher's.
        class_weights: (S,), the factors of the classes in the labels' loss.

    Returns:
        A scalar, float32: the mean over the positions where the teacher's choice is one of these
        classes; among them alone the probabilities are. A position weighs what its class does, on
        average over the teacher's probabilities. Without any such position 0 with gradient 0.
    """
    ours, theirs = logits.float()[:, classes[0]], taught.float()[:, classes[1]]
    known = torch.isin(taught.argmax(1), classes[1])
    # Without it rare classes, which weigh more in the labels' loss, are drowned by the teacher's.
    weights = known * torch.einsum("nchw,c->nhw", theirs.softmax(1), class_weights[classes[0]])
    probabilities = (theirs / temperature).softmax(1)
    found = (ours / temperature).log_softmax(1)
    each = (torch.xlogy(probabilities, probabilities) - probabilities * found).sum(1)
    return temperature**2 * divided((each * weights).sum(), weights.sum())
