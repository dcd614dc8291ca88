"""Floating-point pictures of any range."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from restore.images.files import plan_outputs
from restore.images.search import find_images
from restore.inference.batch import restore_files
from restore.inference.floats import restore_floats
from restore.inference.outcome import BatchOptions
from restore.inference.restorer import Restorer
from tests.helpers.networks import ConstantNetwork


@pytest.mark.parametrize("bright", [20.0, 1000.0])
def test_a_few_bright_values_spoil_no_floating_point_picture(bright: float, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pixels = np.random.default_rng(0).random((64, 80, 3), np.float32)
    pixels[30, 40] = bright
    tifffile.imwrite(tmp_path / "in" / "a.tif", pixels, photometric="rgb")
    plans = plan_outputs(find_images([tmp_path / "in"]), tmp_path / "out")
    restorer = Restorer(ConstantNetwork(), device="cpu", precision="32")
    (result,) = restore_files(restorer, plans, BatchOptions(auto=False))
    expected = np.full_like(pixels, 0.25)
    expected[30, 40] = bright
    np.testing.assert_allclose(tifffile.imread(result.target), expected, atol=1e-6)
    assert "3 values beyond 1 are kept as they are: a thousandth at most" in result.notes


def test_what_is_missing_is_filled_in_however_bright_it_is() -> None:
    pixels = np.random.default_rng(0).random((64, 80, 3), np.float32)
    mask = np.zeros((64, 80), np.bool_)
    mask[10:30, 20:40] = True
    pixels[mask] = 1000.0
    restorer = Restorer(ConstantNetwork(), composites=True, device="cpu", precision="32")
    restored, notes = restore_floats(restorer, pixels, mask, 1.0)
    np.testing.assert_allclose(restored[mask], 0.25, atol=1e-6)
    np.testing.assert_allclose(restored[~mask], pixels[~mask], atol=1e-6)
    assert notes == []
