"""The examples in docstrings run."""

import doctest

import pytest

from restore.inference import photos


@pytest.mark.parametrize("module", [photos], ids=lambda module: module.__name__)
def test_the_examples_of_a_module_run(module: object) -> None:
    results = doctest.testmod(module)  # type: ignore[arg-type]  # a module
    assert results.attempted > 0
    assert results.failed == 0
