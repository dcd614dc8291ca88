"""Seeds are functions of their parts and of nothing else."""

import pytest
import torch

from restore.seeds import derive_seed, generator_for


def draws(*parts: int | str) -> list[float]:
    return torch.rand(8, generator=generator_for(*parts)).tolist()


@pytest.mark.parametrize(
    ("parts", "seed"),
    [((0, "split", "holiday/beach.jpg"), 6783950342122221036), ((7,), 3565994170645413931)],
)
def test_a_seed_is_the_same_in_every_process_release_and_platform(parts: tuple[int | str, ...], seed: int) -> None:
    assert derive_seed(*parts) == seed


def test_every_part_its_place_and_its_type_count() -> None:
    seeds = {derive_seed(*parts) for parts in ((1, 2), (2, 1), (1,), (12,), ("1", 2), ("12",), (1, 2, 0), (True, 2))}
    assert len(seeds) == 8


def test_seeds_of_ten_thousand_neighbours_differ_and_fill_63_bits() -> None:
    seeds = {derive_seed(0, "crop", index) for index in range(10_000)}
    assert len(seeds) == 10_000
    assert 0 <= min(seeds) < 2**50
    assert 2**62 < max(seeds) < 2**63


def test_file_names_that_are_not_unicode_have_seeds() -> None:
    assert derive_seed("caf\udce9.jpg") != derive_seed("cafe.jpg")


def test_equal_parts_draw_equal_numbers_whatever_was_drawn_before() -> None:
    first = draws(3, "a.png")
    torch.rand(5)
    assert draws(3, "b.png") != first
    assert draws(3, "a.png") == first


def test_generators_leave_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    draws(1, 2, 3)
    assert torch.equal(torch.get_rng_state(), before)
