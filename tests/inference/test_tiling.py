import itertools

import numpy as np
import pytest
import torch

from restore.corruption import Compose, Corruption, DefocusBlur, GaussianBlur, GaussianNoise
from restore.errors import UsageError
from restore.inference.restorer import Restorer
from restore.inference.tiling import default_overlap, plan_tiles
from restore.models import UNet
from restore.models.bundle import load_bundle, shipped_bundles
from tests.helpers.networks import IdentityNetwork

AWKWARD = [(1, 1), (1, 200), (200, 1), (7, 13), (61, 67), (64, 64), (65, 127), (97, 131), (128, 256)]


@pytest.mark.parametrize(("height", "width"), AWKWARD)
@pytest.mark.parametrize("multiple", [1, 8])
def test_every_pixel_is_written_once_and_read_with_its_surroundings(height: int, width: int, multiple: int) -> None:
    written = np.zeros((height, width), int)
    for tile in plan_tiles(height, width, tile=64, overlap=10, multiple=multiple):
        read, write = tile.read, tile.write
        written[write.slices] += 1
        assert read.bottom - read.top <= 64
        assert read.right - read.left <= 64
        assert read.top % multiple == 0
        assert read.left % multiple == 0
        assert read.top == 0 or write.top - read.top >= 10
        assert read.left == 0 or write.left - read.left >= 10
        assert read.bottom == height or read.bottom - write.bottom >= 10
        assert read.right == width or read.right - write.right >= 10
    assert (written == 1).all()


def test_plans_hold_for_many_sizes_of_tile_and_overlap() -> None:
    for size, tile, overlap, multiple in itertools.product(range(1, 90, 7), (24, 40, 41), (0, 3, 8), (1, 4)):
        tiles = plan_tiles(size, 1, tile, overlap, multiple)
        assert [t.write.top for t in tiles] == [0, *[t.write.bottom for t in tiles[:-1]]]
        assert tiles[-1].write.bottom == size
        assert all(t.write.bottom > t.write.top for t in tiles)


def test_a_tile_that_cannot_hold_its_overlap_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 104 pixels for an overlap of 48"):
        plan_tiles(500, 500, tile=96, overlap=48, multiple=8)
    with pytest.raises(UsageError, match="overlap: must be 0 or more pixels, not -64"):
        plan_tiles(500, 500, tile=512, overlap=-64)


@pytest.mark.parametrize(("height", "width"), AWKWARD)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_identity_network_gives_the_input_back_bit_for_bit(height: int, width: int, channels: int) -> None:
    restorer = Restorer(IdentityNetwork(), device="cpu", precision="32", tile=64, overlap=16)
    image = torch.randn(channels, height, width)
    assert torch.equal(restorer.restore(image), image)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert np.array_equal(restorer.restore(pixels), pixels)


def blurred_blocks(blur: Corruption, size: tuple[int, int], seed: int) -> torch.Tensor:
    """Blocks of 8 x 8 pixels, whose edges show the blur, and the noise of the protocol."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.rand(1, 3, 42, 78, generator=generator)
    sharp = torch.nn.functional.interpolate(blocks, scale_factor=8)[..., : size[0], : size[1]]
    return Compose([blur, GaussianNoise((2.0, 2.0))])(sharp, generator).image[0]


@pytest.mark.parametrize("blur", [GaussianBlur((1.0, 1.0)), GaussianBlur((2.0, 2.0)), DefocusBlur((2.0, 2.0))])
def test_no_tile_changes_the_blur_that_is_found(blur: Corruption) -> None:
    bundle = load_bundle("deblur")
    for seed in (0, 1):
        image = blurred_blocks(blur, (332, 620), seed)
        whole, tiled = (
            Restorer(bundle.network, device="cpu", precision="32", tile=t).restore(image) for t in (1024, 384)
        )
        assert (whole - image).abs().max() > 0.1
        assert (whole - tiled).abs().max() <= 0.2 / 255


@pytest.mark.parametrize("precision", ["32", "auto"])
@pytest.mark.parametrize("name", shipped_bundles())
def test_tiled_equals_whole_within_a_255th_for_the_shipped_bundles(name: str, precision: str) -> None:
    bundle = load_bundle(name)
    assert isinstance(bundle.network, UNet)
    torch.manual_seed(0)
    size, edge = (332, 620), 3 * default_overlap(bundle.network.size_multiple, bundle.network.finds_blur)
    image = torch.nn.functional.interpolate(torch.rand(1, 3, 30, 40), size, mode="bicubic")[0]
    image += 0.1 * torch.randn(3, *size)
    mask = None
    if bundle.network.finds_blur:
        image = blurred_blocks(DefocusBlur((2.0, 2.0)), size, seed=1)
    if bundle.card.composites:
        mask = (torch.rand(1, *size) < 0.1).float()
        for left in range(40, 600, 140):  # holes on every seam
            mask[:, 60:160, left : left + 110] = mask[:, 200:290, left : left + 60] = 1.0
    whole, tiled = (
        Restorer(bundle.network, bundle.card.composites, "cpu", precision, tile=tile).restore(image, mask)  # type: ignore[arg-type]
        for tile in (1024, edge)
    )
    error = (whole - tiled).abs()
    assert error.max() <= 1 / 255, f"largest difference {error.max() * 255:.3f} / 255, mean {error.mean() * 255:.5f}"
