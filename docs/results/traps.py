"""How far other ways to compute a score are from ours, for `denoise`: `python traps.py FOLDER` (Set12 and BSD68 in it).

Noise of sigma 15 and 50, neither clipped nor rounded, seed 0, bfloat16. Printed is another way's mean over a set minus
ours, in dB or SSIM.
"""

import sys
from pathlib import Path

import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from restore.benchmark.sets import open_set
from restore.images.tensors import quantise
from restore.inference.evaluate import damage_photo
from restore.inference.protocols import build_protocol
from restore.inference.restorer import Restorer
from restore.scores import mse, psnr, ssim

restorer = Restorer.from_bundle("denoise", precision="bf16-mixed")
for name in ("Set12", "BSD68"):
    test_set = open_set(name, [Path(sys.argv[1])])
    for condition in build_protocol("gaussian-awgn", (15.0, 50.0)).conditions:
        rows = []
        for photo in test_set.photos:
            damaged = damage_photo(photo, condition)
            restored, clean = restorer.restore(damaged.corrupted[0], damaged.mask[0])[None], damaged.clean
            x, y = quantise(restored), quantise(clean)
            half = structural_similarity_index_measure(x.bfloat16(), y.bfloat16(), data_range=1.0)
            single = structural_similarity_index_measure(x, y, data_range=1.0)
            own = ssim(restored, clean)
            error = mse(restored, clean)
            rows.append([*psnr(restored, clean).tolist(), *error.tolist(), (half - own).item(), (single - own).item()])
        quality, error, half_gap, single_gap = torch.tensor(rows, dtype=torch.float64).mean(0).tolist()
        pooled = -10.0 * torch.tensor(error).log10().item()
        sys.stdout.write(
            f"{name}, {condition.name}: errors pooled {pooled - quality:+.3f} dB, "
            f"torchmetrics' SSIM in bfloat16 {half_gap:+.4f}, in float32 {single_gap:+.5f}\n"
        )
