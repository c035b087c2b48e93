"""One optimizer step: forward, loss, backward, clip, update."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from briskseg.training.machine import Machine


class TrainStep:
    """One optimizer step: a function of the batch alone (and of the network, the optimizer and the
    random state, which it changes), that waits for nothing on the device."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        machine: Machine,
        clip: float | None,
    ) -> None:
        self.model, self.optimizer, self.machine, self.clip = model, optimizer, machine, clip
        # fp16 gradients would vanish unscaled; for other precisions the scaler does nothing
        self.scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.precision == "fp16")

    def __call__(self, images: Tensor, labels: Tensor, stage: int) -> Tensor:
        """The loss before the step, a scalar on the device."""
        self.optimizer.zero_grad()
        with self.machine.autocast():
            loss: Tensor = self.model(images, labels, stage)
        torch.autograd.backward(self.scaler.scale(loss))
        if self.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()


def seed_step(seed: int, step: int, rank: int) -> None:
    """Let a step's random numbers (dropout) come from (seed, step, process) alone: an interrupted
    run goes on with the same ones."""
    torch.manual_seed(hash((seed, step, rank)) & 0x7FFF_FFFF_FFFF_FFFF)
