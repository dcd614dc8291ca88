"""Networks in 8-bit integers: close to what they were, on the processors that have them."""

import copy

import pytest
import torch

from restore import Restorer, devices
from restore.devices import choose_inference_precision, has_fast_int8
from restore.errors import BundleError, PrecisionError
from restore.images.codec import decode
from restore.images.samples import sample_photos
from restore.images.tensors import to_float
from restore.models import ConvolutionalAutoencoder, UNet
from restore.models.bundle import load_bundle, shipped_bundles
from restore.models.int8 import measure_ranges, quantise_blocks
from restore.scores import psnr
from restore.seeds import generator_for
from tests.helpers.networks import IdentityNetwork, small_unet

CPU = torch.device("cpu")
needs_int8 = pytest.mark.skipif(not has_fast_int8(CPU), reason="no CPU with bfloat16 and 8-bit integers")


def test_ranges_are_measured_block_by_block_and_the_same_each_time() -> None:
    network = small_unet().eval()
    ranges = measure_ranges(network)
    assert set(ranges) == {f"{stack}.0" for stack in ("down.0", "bottom", "up.0")}
    assert all(0 < largest < 100 for pair in ranges.values() for largest in pair)
    assert measure_ranges(network) == ranges
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert measure_ranges(IdentityNetwork()) == {}
    assert measure_ranges(UNet(widths=(32, 64), blocks=1, channels=1).eval()).keys() == ranges.keys()


@pytest.mark.parametrize("name", [name for name in shipped_bundles() if name != "inpaint"])
def test_shipped_ranges_are_those_of_the_shipped_weights(name: str) -> None:
    bundle = load_bundle(name)
    measured = measure_ranges(bundle.network)
    assert set(bundle.card.ranges) == set(measured)
    for block, pair in measured.items():  # arithmetic differs a little between processors
        assert bundle.card.ranges[block] == pytest.approx(pair, rel=0.02), block


def test_in_float32_a_quantised_network_is_what_it_was() -> None:
    if not hasattr(torch.ops.onednn, "qconv_prepack"):
        pytest.skip("this torch has no integer convolutions")
    network = small_unet().eval()
    quantised = copy.deepcopy(network)
    quantise_blocks(quantised, measure_ranges(network))
    image, mask = torch.rand(1, 3, 40, 48), torch.zeros(1, 1, 40, 48)
    with torch.inference_mode():
        assert torch.equal(network(image, mask), quantised(image, mask))


def test_ranges_of_another_network_are_refused() -> None:
    network = small_unet().eval()
    for ranges in ({"bottom.0": [1.0, 1.0]}, {key: [1.0] for key in measure_ranges(network)}):
        with pytest.raises(BundleError, match="of another network"):
            quantise_blocks(network, ranges)


@needs_int8
@pytest.mark.parametrize(("sigma", "most"), [(5, 0.15), (15, 0.05), (50, 0.05)])
@pytest.mark.parametrize("name", ["denoise", "photo"])
def test_integers_cost_little(name: str, sigma: int, most: float) -> None:
    exact, quick = (Restorer.from_bundle(name, "cpu", precision) for precision in ("32", "int8"))
    assert quick.precision == "int8"
    exact.guarded = quick.guarded = False
    differences = []
    for photo in sample_photos()[:4]:
        clean = to_float(decode(photo.path).pixels)[:, :160, :192]
        noise = torch.randn(clean.shape, generator=generator_for("int8", photo.relative.as_posix(), sigma))
        noisy = clean + noise * (sigma / 255.0)
        scores = [psnr(restorer.restore(noisy)[None], clean[None]).item() for restorer in (exact, quick)]
        assert scores[0] > 20 * torch.log10(torch.tensor(255.0 / sigma)) + 1, "nothing is restored here"
        differences.append(scores[0] - scores[1])
    assert sum(differences) / len(differences) < most, differences
    assert quick.notes == []


@needs_int8
def test_several_pictures_and_odd_sizes_come_out_like_one_by_one() -> None:
    ours = Restorer.from_bundle("denoise", "cpu", "int8")
    image = torch.rand(3, 61, 83, generator=generator_for("odd"))
    pixels = (image.permute(1, 2, 0) * 255).to(torch.uint8).numpy()
    together = ours.restore_together([pixels, pixels])
    assert abs(together[0].astype(int) - ours.restore(pixels)).max() <= 1
    assert abs(together[0].astype(int) - together[1]).max() <= 1
    whole = ours.restore(image)
    assert whole.isfinite().all()
    assert (whole - Restorer.from_bundle("denoise", "cpu", "32").restore(image)).square().mean().sqrt() < 2 / 255


def test_which_precision_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_fast_int8", lambda device: device.type == "cpu")
    monkeypatch.setattr(devices, "has_fast_bfloat16", lambda _: True)
    monkeypatch.setattr(devices, "_has_amx", lambda: False)
    assert choose_inference_precision("fast", CPU, has_ranges=True) == "int8"
    assert choose_inference_precision("fast", CPU, has_ranges=False) == "bf16-mixed"
    assert choose_inference_precision("auto", CPU, has_ranges=True) == "bf16-mixed"
    assert choose_inference_precision("fast", torch.device("cuda"), has_ranges=True) == "bf16-mixed"
    assert choose_inference_precision("32", CPU, has_ranges=True) == "32"
    monkeypatch.setattr(devices, "_has_amx", lambda: True)
    assert choose_inference_precision("fast", CPU, has_ranges=True) == "bf16-mixed"
    assert choose_inference_precision("int8", CPU, has_ranges=True) == "int8"
    with pytest.raises(PrecisionError, match="needs a bundle with ranges"):
        choose_inference_precision("int8", CPU, has_ranges=False)
    monkeypatch.setattr(devices, "has_fast_int8", lambda _: False)
    assert choose_inference_precision("fast", CPU, has_ranges=True) == "bf16-mixed"
    with pytest.raises(PrecisionError, match="precision int8 needs a CPU with AMX or AVX512-BF16 and VNNI"):
        choose_inference_precision("int8", CPU, has_ranges=True)


def test_other_networks_have_ranges_of_their_own_blocks() -> None:
    network = ConvolutionalAutoencoder().eval()
    assert set(measure_ranges(network)) == {
        name for name, module in network.named_modules() if type(module).__name__ == "ResidualBlock"
    }
