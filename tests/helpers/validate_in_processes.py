"""Run as a program: validate a small network on some processes and write the scores.

python -m tests.helpers.validate_in_processes PHOTOS PROCESSES OUT.json
"""

import json
import sys
from pathlib import Path

import torch

from restore.tasks import DenoisingAutoencoder
from tests.helpers.networks import small_unet
from tests.helpers.training import quiet_trainer, small_data


def main(photos: str, processes: str, out: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    task = DenoisingAutoencoder(small_unet())
    strategy = "ddp_spawn" if int(processes) > 1 else "auto"
    trainer = quiet_trainer(Path(out).parent, devices=int(processes), strategy=strategy, logger=False, barebones=False)
    scores = trainer.validate(task, small_data(Path(photos), batch_size=2), verbose=False)
    Path(out).write_text(json.dumps(scores[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
