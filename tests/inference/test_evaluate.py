from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from restore.images.codec import decode
from restore.images.search import find_images
from restore.inference.evaluate import evaluate, fingerprint, rows_as_csv, summarise
from restore.inference.protocols import build_protocol
from restore.inference.restorer import Restorer
from restore.seeds import generator_for
from tests.helpers.networks import IdentityNetwork, small_unet
from tests.helpers.photos import write_photos


def test_scores_agree_with_a_plain_computation(tmp_path: Path) -> None:
    write_photos(tmp_path, 3)
    photos = find_images([tmp_path])
    restorer = Restorer(small_unet(), device="cpu", precision="32")
    rows = list(evaluate(restorer.restore, photos, build_protocol("gaussian-awgn", [25.0]), seed=3, baseline=False))
    for row, photo in zip(rows, photos, strict=True):
        clean = decode(photo.path).pixels
        planes = torch.from_numpy(np.atleast_3d(clean).transpose(2, 0, 1).copy()).float() / 255
        generator = generator_for(3, "evaluate", photo.relative.as_posix())
        generator_free = torch.rand(1, generator=generator)  # the noise level is drawn first, from (25, 25)
        assert 0 <= generator_free <= 1
        noisy = planes + 25 / 255 * torch.randn(1, *planes.shape, generator=generator)[0]
        restored = restorer.restore(noisy).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy().squeeze()
        assert row.psnr == pytest.approx(peak_signal_noise_ratio(clean, restored, data_range=255), abs=1e-3)
        axis = 2 if clean.ndim == 3 else None
        reference = structural_similarity(
            clean,
            restored,
            data_range=255,
            channel_axis=axis,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert row.ssim == pytest.approx(reference, abs=1e-4)


def test_damage_depends_on_the_name_and_not_on_the_company(tmp_path: Path) -> None:
    write_photos(tmp_path, 3)
    photos = find_images([tmp_path])
    identity = Restorer(IdentityNetwork(), device="cpu", precision="32")
    protocol = build_protocol("gaussian-awgn", [15.0])
    together = list(evaluate(identity.restore, photos, protocol, baseline=False))
    alone = list(evaluate(identity.restore, photos[2:], protocol, baseline=False))
    assert together[2] == alone[0] or str(together[2]) == str(alone[0])  # NaN differs from itself
    other = list(evaluate(identity.restore, photos[2:], protocol, seed=1, baseline=False))
    assert other[0].input_psnr != alone[0].input_psnr


def test_the_corrupted_inputs_own_score_is_what_the_noise_level_says(tmp_path: Path) -> None:
    grey = np.full((256, 256), 128, np.uint8)
    from PIL import Image

    Image.fromarray(grey).save(tmp_path / "grey.png")
    identity = Restorer(IdentityNetwork(), device="cpu", precision="32")
    rows = evaluate(identity.restore, find_images([tmp_path]), build_protocol("gaussian-awgn", [15.0]))
    (row,) = rows
    expected = 20 * np.log10(255 / np.sqrt(15**2 + 1 / 12))  # rounding adds a twelfth of a step squared
    assert row.input_psnr == pytest.approx(expected, abs=0.05)
    assert row.psnr == row.input_psnr


@pytest.mark.parametrize(
    "name", ["gaussian-awgn", "clipped-8bit", "gaussian-blur", "motion-blur", "defocus-blur", "holes"]
)
def test_every_protocol_scores_the_method_the_baseline_and_the_input(tmp_path: Path, name: str) -> None:
    write_photos(tmp_path, 6, (160, 160) if name in {"motion-blur", "defocus-blur"} else (64, 80))
    identity = Restorer(IdentityNetwork(), composites=name == "holes", device="cpu", precision="32")
    rows = list(evaluate(identity.restore, find_images([tmp_path]), build_protocol(name)))
    summary = summarise(rows)
    assert len(summary) == 3
    for entry in summary:
        assert entry["images"] == 6
        assert entry["psnr"] == entry["input_psnr"]  # the identity leaves the input as it is
        assert float(entry["baseline_psnr"]) > float(entry["input_psnr"]), "the classical method must help"
        assert ("hole_psnr" in entry) == (name == "holes")
    text = rows_as_csv(rows)
    assert len(text.splitlines()) == 1 + len(rows)


def test_the_fingerprint_follows_names_and_contents(tmp_path: Path) -> None:
    first, second = write_photos(tmp_path, 2)
    before = fingerprint(find_images([tmp_path]))
    assert before == fingerprint(find_images([tmp_path]))
    second.rename(tmp_path / "renamed.png")
    renamed = fingerprint(find_images([tmp_path]))
    (tmp_path / "renamed.png").write_bytes(first.read_bytes())
    assert len({before, renamed, fingerprint(find_images([tmp_path]))}) == 3
