"""Training without a configuration: pictures in memory, a fixed number of steps, and nothing written."""

import contextlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

from restore.devices import choose_device
from restore.models.base import RestorationNetwork
from restore.seeds import derive_seed
from restore.tasks.optimizers import Muon
from restore.tasks.reconstruction import ReconstructionAutoencoder
from restore.tasks.schedules import WarmupCosine
from restore.types import Batch

__all__ = ["fit_reconstruction", "keyboard_interrupts"]


@contextlib.contextmanager
def keyboard_interrupts() -> Iterator[None]:
    """Let Ctrl-C end a training as it ends everything else: Lightning makes `SystemExit(1)` of it."""
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


class _Clean(Dataset[Tensor]):
    def __init__(self, images: Tensor) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitems__(self, indices: list[int]) -> Tensor:
        return self._images[indices]


class _Progress(pl.Callback):
    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance

    def on_train_batch_end(self, *arguments: object) -> None:
        self._advance(1)


def fit_reconstruction(
    network: RestorationNetwork,
    images: Tensor,
    steps: int,
    seed: int,
    batch_size: int = 64,
    lr: float = 0.005,
    device: str = "auto",
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Train a network to give pictures back: squared error, Muon, warm-up and cosine, in float32.

    Args:
        network: An autoencoder; trained in place, and left in evaluation mode on the CPU.
        images: `(N, C, H, W)` float32 in [0, 1].
        steps: Of the optimizer.
        seed: Decides the order.
        batch_size: Pictures per step; fewer if there are fewer.
        lr: Peak learning rate.
        device: As for `choose_device`.
        advance: Told of every step.

    Raises:
        KeyboardInterrupt: By Ctrl-C.
    """
    batch_size = min(batch_size, len(images))
    order = torch.Generator().manual_seed(derive_seed(seed, "order"))
    sampler = RandomSampler(images, generator=order)
    loader = DataLoader(_Clean(images), batch_size, sampler=sampler, drop_last=True, collate_fn=_as_batch)
    task = ReconstructionAutoencoder(
        network,
        nn.MSELoss(),
        lambda parameters: Muon(parameters, lr, weight_decay=0.0),
        lambda optimizer, total: WarmupCosine(optimizer, total, warmup_steps=50),
    )
    chosen = choose_device(device)
    quiet = logging.getLogger("lightning.pytorch")
    level = quiet.level
    quiet.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "fit"))  # what Lightning and the network draw from
            warnings.filterwarnings(
                "ignore", ".*does not have many workers|The number of training batches|.*no `val_dataloader`"
            )
            warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec")  # inside Lightning 2.6
            trainer = pl.Trainer(
                accelerator={"cuda": "gpu"}.get(chosen.type, chosen.type),
                devices=1 if chosen.index is None else [chosen.index],
                max_steps=steps,
                max_epochs=-1,
                logger=False,
                callbacks=[_Progress(advance)],
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                log_every_n_steps=steps + math.ceil(len(images) / batch_size),  # no scores but at the first step
            )
            with keyboard_interrupts():
                trainer.fit(task, loader)
    finally:
        quiet.setLevel(level)
    network.to("cpu").eval()


def _as_batch(images: Any) -> Batch:  # what `__getitems__` gave, whole
    mask = images.new_zeros(len(images), 1, *images.shape[2:])
    return {"clean": images, "corrupted": images, "mask": mask}
