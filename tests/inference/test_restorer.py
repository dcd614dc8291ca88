from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from restore import Restorer
from restore.errors import BundleError, PrecisionError, UnsupportedImageError, UsageError
from restore.inference.picture import Picture
from restore.models import RestorationNetwork
from restore.models.bundle import ModelCard, network_entry
from restore.seeds import generator_for
from tests.helpers.networks import ConstantNetwork, IdentityNetwork, small_unet, write_bundle


def restorer(network: RestorationNetwork, composites: bool = False) -> Restorer:
    return Restorer(network, composites, device="cpu", precision="32")


def test_each_kind_of_picture_comes_back_as_its_own_kind() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    ours = restorer(IdentityNetwork())
    for picture in (Image.fromarray(pixels), Image.fromarray(pixels[:, :, 0])):
        result = ours.restore(picture)
        assert (result.mode, result.size) == (picture.mode, picture.size)
        assert result.tobytes() == picture.tobytes()
    for array in (pixels, pixels[:, :, 0]):
        answer = ours.restore(array)
        assert answer.dtype == np.uint8
        assert np.array_equal(answer, array)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    assert torch.equal(ours.restore(tensor), tensor)


def test_values_outside_the_unit_interval_are_taken_as_they_are() -> None:
    image = torch.tensor([[[-0.5, 0.5, 1.5]]])
    assert torch.equal(restorer(IdentityNetwork()).restore(image), image)


def test_the_same_picture_gives_the_same_pixels_through_every_door() -> None:
    ours = restorer(small_unet())
    pixels = np.random.default_rng(0).integers(0, 256, (37, 41, 3), dtype=np.uint8)
    from_array = ours.restore(pixels)
    from_pil = np.asarray(ours.restore(Image.fromarray(pixels)))
    as_float = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    from_tensor = ours.restore(as_float).clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.array_equal(from_array, from_pil)
    assert np.array_equal(from_array, from_tensor)


def test_a_compositing_restorer_changes_nothing_but_the_hole() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    hole = np.zeros((30, 20), bool)
    hole[5:9, 3:8] = True
    ours = restorer(ConstantNetwork(), composites=True)
    numbers = [scale * hole.astype(dtype) for scale, dtype in ((1, "u1"), (255, "u1"), (65535, "u2"), (1.0, "f8"))]
    for mask in (hole, hole[None], *numbers, Image.fromarray(hole)):
        result = ours.restore(pixels, mask)
        assert np.array_equal(result[~hole], pixels[~hole])
        assert (result[hole] == 64).all()
    noisy = torch.randn(3, 30, 20)
    assert torch.equal(ours.restore(noisy, torch.from_numpy(hole))[:, ~hole], noisy[:, ~hole])


def test_without_a_mask_a_compositing_restorer_changes_nothing() -> None:
    image = torch.rand(3, 12, 12)
    assert torch.equal(restorer(ConstantNetwork(), composites=True).restore(image), image)


def test_the_given_picture_is_not_written_to() -> None:
    image = torch.rand(3, 16, 16)
    before = image.clone()
    restorer(small_unet()).restore(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(150, 170, 3), (300, 90)])
@pytest.mark.parametrize("guarded", [True, False])
def test_a_picture_that_is_overwritten_tile_by_tile_gets_the_same_pixels(
    dtype: type[np.generic], shape: tuple[int, ...], guarded: bool
) -> None:
    network = small_unet()
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)  # type: ignore[type-var]
    for tile, overlap in ((48, 16), (64, 8), (72, 32)):
        ours = Restorer(network, device="cpu", precision="32", tile=tile, overlap=overlap)
        ours.guarded = guarded
        expected = ours.restore(pixels)
        change = np.sqrt(np.mean((expected / np.iinfo(dtype).max - pixels / np.iinfo(dtype).max) ** 2))  # type: ignore[type-var]
        assert ours.changes == pytest.approx([change], rel=1e-4)
        assert change > 0.001
        overwritten = pixels.copy()
        assert ours.restore(overwritten, out=overwritten) is overwritten
        assert np.array_equal(overwritten, expected)
        elsewhere = np.zeros_like(pixels)
        ours.restore(pixels, out=elsewhere)
        assert np.array_equal(elsewhere, expected)


def test_what_the_result_may_be_written_to() -> None:
    ours, pixels = restorer(small_unet()), np.zeros((20, 20), np.uint8)
    frozen = pixels.copy()
    frozen.flags.writeable = False
    for out in (np.zeros((20, 21), np.uint8), np.zeros((20, 20), np.uint16), pixels[:], frozen):
        with pytest.raises(UsageError, match="out: must be"):
            ours.restore(pixels, out=out)  # type: ignore[type-var]
    for other in (torch.zeros(1, 8, 8), Image.fromarray(pixels)):
        with pytest.raises(UsageError, match="out: is for arrays"):
            ours.restore(other, out=pixels)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(2, 8, 8), "1 or 3 channels"),
        (torch.rand(8, 8), r"must be \(C, H, W\)"),
        (torch.rand(3, 8, 0), "must be"),
        (torch.rand(3, 8, 8).double(), "float32 or uint8"),
        (np.zeros((8, 8), np.float32), "pass floats as a tensor"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(image: torch.Tensor, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        restorer(IdentityNetwork()).restore(image)


def test_a_picture_mode_that_would_lose_something_is_refused() -> None:
    with pytest.raises(UnsupportedImageError, match="RGBA"):
        restorer(IdentityNetwork()).restore(Image.new("RGBA", (4, 4)))


def test_a_mask_of_another_size_or_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="mask: must be a tensor, an array or a PIL image, not a list"):
        restorer(IdentityNetwork()).restore(torch.rand(3, 8, 8), [[0.0] * 8] * 8)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="mask: must be"):
        restorer(IdentityNetwork()).restore(torch.rand(3, 8, 8), torch.zeros(8, 9))


def test_an_impossible_precision_is_refused_with_the_reason() -> None:
    with pytest.raises(PrecisionError, match="needs a CUDA GPU"):
        Restorer(IdentityNetwork(), device="cpu", precision="16-mixed")


def test_a_bundle_is_found_by_path_and_a_missing_one_is_named(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "mine")
    ours = Restorer.from_bundle(folder, device="cpu")
    assert ours.card is not None
    assert ours.card.name == "mine"
    with pytest.raises(BundleError, match=r"nowhere: no such folder, and the shipped bundles are"):
        Restorer.from_bundle("nowhere")


def test_arrays_that_are_views_or_read_only_are_taken_too() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    frozen = pixels.copy()
    frozen.flags.writeable = False
    ours = restorer(IdentityNetwork())
    for view in (np.rot90(pixels), pixels[::-2, ::3], frozen, frozen[:, :, 1]):
        assert np.array_equal(ours.restore(view), view)


class _Hungry(IdentityNetwork):
    """Runs out of memory on tiles beyond a side, in the words of a GPU or of a CPU."""

    def __init__(self, side: int, error: RuntimeError) -> None:
        super().__init__()
        self.side, self.error = side, error

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if max(image.shape[-2:]) > self.side:
            raise self.error
        return image.float()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
    ],
)
def test_out_of_memory_halves_the_tile_and_loses_no_pixel(
    error: RuntimeError, caplog: pytest.LogCaptureFixture
) -> None:
    image = torch.rand(3, 900, 1000)
    ours = Restorer(_Hungry(400, error), device="cpu", precision="32", tile=1128)
    assert torch.equal(ours.restore(image), image)
    assert ours.tile == 282
    assert "tiles of 282 pixels" in caplog.text
    assert torch.equal(ours.restore(image), image)


def test_out_of_memory_half_way_spoils_nothing_that_is_overwritten() -> None:
    class Tired(IdentityNetwork):
        calls = 0

        def forward(self, image: Tensor, mask: Tensor) -> Tensor:
            self.calls += 1
            if self.calls > 5 and max(image.shape[-2:]) > 300:
                raise torch.OutOfMemoryError("out of memory")
            return image.float() * 0.5

    pixels = np.random.default_rng(0).integers(0, 128, (1500, 1300), dtype=np.uint16) * 2
    ours = Restorer(Tired(), device="cpu", precision="32", tile=560, overlap=64)
    expected = pixels // 2
    assert np.array_equal(ours.restore(pixels, out=pixels), expected)
    assert ours.notes == ["cpu is out of memory: going on with tiles of 280 pixels"]


def test_out_of_memory_before_the_first_tile_halves_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(3, 900, 1000)
    ours = Restorer(IdentityNetwork(), device="cpu", precision="32", tile=600)
    survey, calls = ours._survey, []

    def hungry(picture: Picture) -> object:
        calls.append(ours.tile)
        if ours.tile > 300:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return survey(picture)

    monkeypatch.setattr(ours, "_survey", hungry)
    assert torch.equal(ours.restore(image), image)
    assert (calls, ours.tile) == ([600, 300], 300)


def test_out_of_memory_with_the_smallest_tile_is_said() -> None:
    ours = Restorer(_Hungry(10, torch.OutOfMemoryError("out of memory")), device="cpu", precision="32")
    with pytest.raises(MemoryError, match="a tile of 282 x 282 pixels does not fit"):
        ours.restore(torch.rand(3, 900, 1000))


def test_other_errors_of_a_network_are_not_taken_for_a_lack_of_memory() -> None:
    ours = Restorer(_Hungry(10, RuntimeError("a bug")), device="cpu", precision="32")
    with pytest.raises(RuntimeError, match="a bug"):
        ours.restore(torch.rand(3, 90, 100))


def test_a_turned_bundle_takes_the_mean_over_both_ways_round() -> None:
    network = small_unet()
    image, hole = torch.rand(3, 40, 52, generator=generator_for("turned")), torch.zeros(1, 40, 52)
    hole[:, 10:30, 10:30] = 1
    card = ModelCard("turned", network_entry(network), turned=True)
    once = Restorer(network, device="cpu", precision="32")
    twice = Restorer(network, device="cpu", precision="32", card=card)
    turned = once.restore(image.flip(1, 2), hole.flip(1, 2)).flip(1, 2)
    expected = (once.restore(image, hole) + turned) / 2
    assert torch.allclose(twice.restore(image, hole), expected, atol=1e-6)
    assert not torch.allclose(expected, turned, atol=1e-5), "both ways are the same: the test tells nothing"


def test_tiles_without_a_hole_cost_nothing_and_come_back_bit_for_bit() -> None:
    class Counting(IdentityNetwork):
        calls = 0

        def forward(self, image: Tensor, mask: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(image, mask) + 0.25

    network = Counting()
    image, hole = torch.rand(3, 600, 600, generator=generator_for("tiles")), torch.zeros(1, 600, 600)
    hole[:, 10:20, 10:20] = 1
    restored = Restorer(network, composites=True, device="cpu", precision="32", tile=256, overlap=32).restore(
        image, hole
    )
    assert network.calls == 1
    assert torch.equal(restored[:, hole[0] == 0], image[:, hole[0] == 0])
    assert torch.allclose(restored[:, 10:20, 10:20], image[:, 10:20, 10:20] + 0.25, atol=1e-6)
