import math
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from restore.corruption import (
    CameraNoise,
    Compose,
    GaussianBlur,
    GaussianNoise,
    Identity,
    JpegCompression,
    MotionBlur,
    OneOf,
)
from restore.errors import UsageError
from restore.images.codec import decode
from restore.images.files import plan_outputs
from restore.images.samples import sample_photos
from restore.images.search import find_images
from restore.images.tensors import to_float, to_pixels
from restore.inference.batch import restore_files
from restore.inference.clean import CLEAN_LIMITS, is_clean, tells_clean
from restore.inference.damage import Damage, estimate_damage, has_moved
from restore.inference.protocols import PROTOCOLS
from restore.inference.restorer import Restorer
from restore.models.bundle import find_bundle, read_card
from restore.scores import psnr
from restore.seeds import generator_for
from tests.helpers.damage import Pixels, as_file, blurred, demosaiced, jpeg, noisy

PHOTOS = {photo.relative.stem: decode(photo.path).pixels for photo in sample_photos()}
SHARP = sorted(set(PHOTOS) - {"page"})


@pytest.mark.parametrize("name", sorted(PHOTOS))
def test_sample_photos_are_clean(name: str) -> None:
    assert is_clean(estimate_damage(PHOTOS[name]), "gaussian-awgn")
    assert is_clean(estimate_damage(PHOTOS[name]), "gaussian-blur")


@pytest.mark.parametrize("name", sorted(PHOTOS))
def test_sample_photos_have_not_moved(name: str) -> None:
    for pixels in (PHOTOS[name], jpeg(PHOTOS[name], 85), PHOTOS[name].astype(np.uint16) * 257):
        assert not has_moved(pixels)
    assert not has_moved((PHOTOS[name] / 255).astype(np.float32))


@pytest.mark.parametrize("name", ["astronaut", "camera", "chelsea", "coffee"])
@pytest.mark.parametrize(("length", "angle"), [(4.0, 90.0), (10.0, 30.0), (15.0, 140.0)])
def test_motion_is_seen_in_files_of_every_depth(name: str, length: float, angle: float) -> None:
    damage = Compose([MotionBlur((length, length), (angle, angle)), GaussianNoise((2.0, 2.0))])
    file = to_pixels(damage(to_float(PHOTOS[name])[None], generator_for("moved"))[0][0])
    for pixels in (file, jpeg(file, 95), file.astype(np.uint16) * 257, (file / 255).astype(np.float32)):
        assert has_moved(pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (63, 65)])
def test_motion_is_not_seen_where_there_is_nothing_to_see(size: tuple[int, int]) -> None:
    assert not has_moved(np.full((*size, 3), 77, np.uint8))


@pytest.mark.parametrize("name", sorted(PHOTOS))
@pytest.mark.parametrize("sigma", [5.0, 10.0, 25.0, 50.0])
def test_noise_is_estimated_within_a_tenth(name: str, sigma: float) -> None:
    image = noisy(PHOTOS[name], sigma)
    for pixels in (image, as_file(image)):
        assert estimate_damage(pixels).noise == pytest.approx(sigma, rel=0.1, abs=0.3)


@pytest.mark.parametrize("name", sorted(PHOTOS))
@pytest.mark.parametrize("exposure", [1.0, 0.15])
def test_noise_is_never_missed(name: str, exposure: float) -> None:
    pixels = (PHOTOS[name] * exposure).astype(np.uint8)
    for sigma in (10.0, 15.0):
        file = as_file(noisy(pixels, sigma))
        assert not is_clean(estimate_damage(file), "clipped-8bit")
        assert not is_clean(estimate_damage(jpeg(file, 85)), "clipped-8bit")


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
@pytest.mark.parametrize("sigma", [10.0, 15.0])
def test_noise_of_a_colour_sensor_is_not_texture(name: str, sigma: float) -> None:
    photo = demosaiced(PHOTOS[name], sigma, 0)
    assert not is_clean(estimate_damage(photo), "clipped-8bit")


@pytest.mark.parametrize("sigma", [2.0, 10.0, 60.0])
@pytest.mark.parametrize("level", [0, 3, 128, 255])
def test_clipping_hides_no_noise(sigma: float, level: int) -> None:
    flat = np.full((200, 200), level, np.uint8)
    estimate = estimate_damage(as_file(noisy(flat, sigma))).noise
    assert estimate == pytest.approx(sigma, rel=0.1 if sigma > 5.0 or level == 128 else 0.3)


def test_noise_of_one_channel_counts_by_its_share() -> None:
    pixels = np.full((128, 128, 3), 128, np.uint8)
    pixels[:, :, 2] = as_file(noisy(pixels[:, :, 2], 30.0))
    assert estimate_damage(pixels).noise == pytest.approx(30.0 / math.sqrt(3.0), rel=0.05)


def test_pure_noise_is_noise_and_a_constant_is_nothing() -> None:
    assert estimate_damage(noisy(np.full((64, 64), 128, np.uint8), 60.0)).noise == pytest.approx(60.0, rel=0.05)
    for level in (0, 7, 255):
        assert estimate_damage(np.full((64, 64, 3), level, np.uint8)) == Damage(0.0, 0.0, 0.0)


def test_black_on_white_is_a_drawing() -> None:
    page = np.full((300, 300), 255, np.uint8)
    for row in range(20, 280, 40):
        cv2.putText(page, "restore", (10, row), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 0, 2)
    assert estimate_damage(page).noise == 0.0
    assert not is_clean(estimate_damage(as_file(noisy(page, 10.0))), "gaussian-awgn")


@pytest.mark.parametrize("name", SHARP)
@pytest.mark.parametrize("sigma", [0.0, 2.0, 10.0])
def test_blur_grows_with_blur_and_noise_does_not_hide_it(name: str, sigma: float) -> None:
    estimates = [
        estimate_damage(as_file(noisy(blurred(PHOTOS[name], blur), sigma))).blur for blur in (0.0, 1.0, 2.0, 3.0)
    ]
    assert estimates == sorted(estimates)
    assert all(estimate > CLEAN_LIMITS["gaussian-blur"].blur for estimate in estimates[1:])


@pytest.mark.parametrize("blur", [0.5, 1.0, 2.0, 4.0])
def test_blur_of_an_ideal_step_is_met(blur: float) -> None:
    step = np.repeat(np.where(np.arange(128) < 64, 60, 190).astype(np.float32)[None], 128, axis=0)
    image = cv2.GaussianBlur(step, (0, 0), blur, borderType=cv2.BORDER_REFLECT).astype(np.float32) / 255.0
    for picture in (image, image.T):
        assert estimate_damage(picture).blur == pytest.approx(math.sqrt(blur**2 + 1 / 3), rel=0.1)


@pytest.mark.parametrize("name", SHARP)
def test_blocking_grows_as_quality_falls(name: str) -> None:
    estimates = [estimate_damage(jpeg(PHOTOS[name], quality)).blocking for quality in (95, 75, 50, 30, 10)]
    assert estimates == sorted(estimates)
    assert estimates[1] > 0.5
    assert estimate_damage(as_file(noisy(PHOTOS[name], 25.0))).blocking < 0.2


def test_blocking_is_measured_on_the_grid_of_large_pictures_as_well() -> None:
    large = np.tile(PHOTOS["astronaut"], (3, 4, 1))[3:1304, 5:1782]  # so that no seam lies on the grid
    assert estimate_damage(large).blocking < 0.3
    assert estimate_damage(jpeg(large, 30)).blocking > 2.0


@pytest.mark.parametrize("name", sorted(PHOTOS))
def test_all_types_and_memory_layouts_say_the_same(name: str) -> None:
    pixels = PHOTOS[name]
    before = pixels.copy()
    expected = estimate_damage(pixels)
    assert estimate_damage(pixels) == expected
    assert estimate_damage(np.asfortranarray(pixels)) == expected
    np.testing.assert_array_equal(pixels, before)
    for other in (pixels.astype(np.uint16) * 257, (pixels / 255.0).astype(np.float32)):
        found = estimate_damage(other)
        assert found.noise == pytest.approx(expected.noise, abs=0.01)
        assert found.blur == pytest.approx(expected.blur, abs=0.05)
        assert found.blocking == pytest.approx(expected.blocking, abs=0.01)


def test_grey_as_three_equal_channels_is_grey() -> None:
    grey = as_file(noisy(PHOTOS["camera"], 10.0))
    found, expected = estimate_damage(np.stack([grey] * 3, axis=2)), estimate_damage(grey)
    assert found.noise == pytest.approx(expected.noise, rel=1e-3)
    assert found.blur == pytest.approx(expected.blur, abs=0.01)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (7, 9), (8, 8), (9, 1), (3, 5000), (5000, 3), (1, 5000), (33, 40)]
)
@pytest.mark.parametrize("channels", [(), (3,)])
def test_any_size_gives_numbers(shape: tuple[int, int], channels: tuple[int, ...]) -> None:
    found = estimate_damage(noisy(np.full((*shape, *channels), 128, np.uint8), 20.0))
    assert all(math.isfinite(value) and value >= 0.0 for value in (found.noise, found.blur, found.blocking))
    if math.prod(shape) > 1000:
        assert found.noise == pytest.approx(20.0, rel=0.15)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((4, 4), np.float64),
        np.zeros((4, 4), np.int16),
        np.full((4, 4), np.nan, np.float32),
    ],
)
def test_what_cannot_be_judged_is_refused(pixels: npt.NDArray[np.generic]) -> None:
    with pytest.raises(UsageError, match="pixels: "):
        estimate_damage(pixels)


def test_clean_depends_on_what_a_bundle_is_for() -> None:
    assert not is_clean(Damage(noise=10.0, blur=0.0, blocking=0.0), "gaussian-awgn")
    assert is_clean(Damage(noise=10.0, blur=0.0, blocking=0.0), "gaussian-blur")
    assert is_clean(Damage(noise=0.0, blur=2.0, blocking=5.0), "clipped-8bit")
    assert not is_clean(Damage(noise=0.0, blur=2.0, blocking=0.0), "gaussian-blur")
    assert not is_clean(Damage(0.0, 0.0, 0.0), "holes")
    assert set(CLEAN_LIMITS) <= set(PROTOCOLS)
    assert all(tells_clean(protocol, "") == (protocol in CLEAN_LIMITS) for protocol in [*PROTOCOLS, ""])


@pytest.mark.parametrize("name", ["photo", "photo-fast", "denoise", "deblur"])
def test_the_shipped_bundles_leave_clean_photos_alone(name: str) -> None:
    card = read_card(find_bundle(name))
    assert tells_clean(card.protocol, card.training["corruption"])


def test_a_bundle_that_learnt_other_damage_takes_nothing_for_clean() -> None:
    corruption = repr(Compose([OneOf([Identity(), GaussianBlur((0.5, 2.0))]), GaussianNoise((2.0, 20.0))]))
    assert not tells_clean("gaussian-awgn", corruption)
    assert tells_clean("gaussian-blur", corruption)
    assert not tells_clean("gaussian-blur", repr(Compose([GaussianBlur(), JpegCompression()])))
    assert tells_clean("gaussian-blur", repr(Compose([GaussianBlur(), JpegCompression((75.0, 95.0))])))
    with pytest.raises(UsageError, match="'sepia' is unknown"):
        is_clean(Damage(0.0, 0.0, 0.0), "sepia")


def _photos(folder: Path) -> list[Pixels]:
    return [np.asarray(decode(path).pixels, np.uint8) for path in sorted(folder.glob("*.png"))]


@pytest.mark.slow
def test_clean_photos_are_left_alone_or_hardly_changed(cbsd68: Path) -> None:
    restorer = Restorer.from_bundle("denoise", device="cpu")
    photos = _photos(cbsd68)
    touched = [photo for photo in photos if not is_clean(estimate_damage(photo), "gaussian-awgn")]
    scores = [psnr(to_float(restorer.restore(photo))[None], to_float(photo)[None]).item() for photo in touched]
    harmed = sum(score <= 42.0 for score in scores)
    assert harmed <= 0.05 * len(photos)


@pytest.mark.slow
@pytest.mark.parametrize("set_name", ["CBSD68", "BSD68"])
def test_noisy_photos_are_never_left_alone(cbsd68: Path, set_name: str) -> None:
    for index, photo in enumerate(_photos(cbsd68.parent / set_name)):
        for sigma in (10.0, 15.0, 25.0) if index % 4 == 0 else (10.0,):
            file = as_file(noisy(photo, sigma, index))
            for damaged in (file, jpeg(file, 85)):
                assert not is_clean(estimate_damage(damaged), "clipped-8bit"), (index, sigma)


@pytest.mark.slow
def test_photo_spares_clean_photos_and_never_leaves_noise_alone(cbsd68: Path, tmp_path: Path) -> None:
    restorer = Restorer.from_bundle("photo", device="cpu")
    camera = Compose([CameraNoise((10.0, 10.0)), JpegCompression((85.0, 85.0))])
    photos = _photos(cbsd68)[::6]
    for index, photo in enumerate(photos):
        seen_by_camera = camera(to_float(photo)[None], generator_for("camera", index)).image[0]
        noised = as_file(noisy(photo, 10.0, index))
        kinds = {"clean": photo, "camera": to_pixels(seen_by_camera), "noise": noised, "jpeg": jpeg(noised, 85)}
        (tmp_path / "in").mkdir(exist_ok=True)
        for kind, pixels in kinds.items():
            Image.fromarray(pixels).save(tmp_path / "in" / f"{kind}-{index}.png")
    found = list(restore_files(restorer, plan_outputs(find_images([tmp_path / "in"]), tmp_path / "out")))
    assert len(found) == 4 * len(photos)
    scores = []
    for result in found:
        if not result.source.name.startswith("clean"):
            assert result.status == "restored", (result.source, result.reason)
        elif result.status == "restored":
            pair = [to_float(decode(path).pixels)[None] for path in (result.target, result.source)]
            scores.append(psnr(*pair).item())
    assert sum(score < 38.0 for score in scores) <= 1, "of 12; of all 68 it is 1"
    assert sum(score < 42.0 for score in scores) <= 2, "of 12; of all 68 it is 3"
