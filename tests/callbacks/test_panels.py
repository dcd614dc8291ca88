"""Panels show what is validated: the averaged weights."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn

from restore.callbacks import AverageWeights, LogRestorations
from restore.images.codec import decode
from restore.tasks import DenoisingAutoencoder
from tests.helpers.networks import IdentityNetwork
from tests.helpers.photos import write_photos
from tests.helpers.training import quiet_trainer, small_data


class Level(IdentityNetwork):
    """One grey level everywhere, which is learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(()))

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return torch.zeros_like(image) + self.level


class Trained(pl.Callback):
    """Remembers the level that was learnt last, before any averaging."""

    def __init__(self, network: Level) -> None:
        self.network, self.level = network, 0.0

    def on_train_batch_end(self, *_: Any) -> None:
        self.level = self.network.level.item()


def test_panels_are_drawn_with_the_averaged_weights(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 6)
    network = Level()
    optimizer = partial(torch.optim.SGD, lr=0.1)
    task = DenoisingAutoencoder(network, optimizer=optimizer, scheduler=None)
    trained = Trained(network)
    callbacks = [AverageWeights(0.9), LogRestorations(photos=1), trained]
    quiet_trainer(tmp_path, max_epochs=1, callbacks=callbacks).fit(task, small_data(tmp_path / "photos"))
    (path,) = (tmp_path / "log").rglob("panels/*.png")
    (shown,) = {int(value) for value in decode(path).pixels[:, 48:96].flat}
    averaged = network.level.item()  # the average has taken its place at the end of the training
    assert shown == pytest.approx(255 * averaged, abs=0.51)
    assert abs(shown - 255 * trained.level) > 2
