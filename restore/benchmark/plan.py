"""What is to be measured: which methods under which damage on which sets, and how fast each of them is."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import torch

from restore.benchmark.machine import machine_name
from restore.benchmark.quality import INPUT, Cell, Contender
from restore.benchmark.sets import TestSet
from restore.benchmark.timing import macs_per_pixel, median_seconds, memory_of
from restore.inference.guard import LIMIT
from restore.inference.protocols import SHARES, SIGMAS, Condition, build_protocol
from restore.inference.restorer import Restorer
from restore.models.bundle import ModelCard
from restore.seeds import generator_for

__all__ = ["Plan", "plan_cells", "precision_of", "time_method"]

_REVISION = 1
"""To be raised when the code between a bundle's weights and its pictures changes what comes out."""

_SIDE, _SLOW_SIDE, _START_SIDE, _SLOW_SECONDS = 768, 192, 64, 2.0


@dataclass(frozen=True)
class Plan:
    """What to score.

    Attributes:
        sets: On these photos.
        restorers: By the name that stands in the tables.
        protocols: Damage; what each bundle is meant for, and clean pictures, if empty.
        sigmas: As for `build_protocol`.
        shares: As for `build_protocol`.
        seeds: Of the damage.
        classical: All classical methods, the fast one of each condition, or none.
    """

    sets: Sequence[TestSet]
    restorers: dict[str, Restorer]
    protocols: Sequence[str] = ()
    sigmas: Sequence[float] = SIGMAS
    shares: Sequence[float] = SHARES
    seeds: Sequence[int] = (0,)
    classical: Literal["all", "fast", "none"] = "fast"


def plan_cells(plan: Plan) -> Iterator[Cell]:
    """Every cell of the tables, once, in the order in which they are best measured.

    A bundle that takes no mask is left out where there is a hole.

    Raises:
        UsageError: There is no such protocol.
    """
    planned: set[str] = set()
    for test_set in plan.sets:
        for name, restorer in plan.restorers.items():
            for protocol_name in plan.protocols or (_meant_for(restorer), "clean"):
                protocol = build_protocol(protocol_name, plan.sigmas, plan.shares)
                for condition in protocol.conditions:
                    if condition.has_hole and not restorer.composites:
                        continue
                    for contender in (_ours(name, restorer), *_others(condition, protocol_name, plan.classical)):
                        for seed in plan.seeds:
                            cell = Cell(test_set, protocol, condition, contender, seed)
                            if str(cell.slot) not in planned:  # two bundles share the classical ones
                                planned.add(str(cell.slot))
                                yield cell


def time_method(cell: Cell, repeat: int) -> dict[str, Any]:
    """Cost of a cell's method.

    Returns:
        `name`, `kind`, `identity`, `parameters` and `macs_per_pixel` (None for classical methods), `precision`,
        `threads`, the `damage` it was given, and `megapixels_per_second` on one picture of `side` x `side`, 768, grey
        for a grey network, the median of `repeat` runs after one that does not count; a method that takes over 2 s for
        192 x 192 is timed on that, once. `peak_megabytes` is what it needs on that picture beyond the program, None
        where the system does not tell, and `machine` what it ran on.
    """
    method = cell.contender.method
    restorer = getattr(method, "__self__", None)
    network, device, passes, channels = None, torch.device("cpu"), 1, 3
    if isinstance(restorer, Restorer):
        network, device, passes = restorer.network, restorer.device, 1 + restorer.turned
        channels = network.channels

    def damaged(side: int) -> tuple[torch.Tensor, torch.Tensor]:
        clean = torch.rand(1, channels, side, side, generator=generator_for("timing"))
        image, mask = cell.condition.corruption(clean, generator_for("timing"))
        if cell.contender.keeps_known and not mask.any():  # what nothing is missing from would cost nothing
            mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1.0
        return image[0], mask[0]

    method(*damaged(_START_SIDE))  # what is loaded on the first call does not count
    side = _SLOW_SIDE
    arguments, start = damaged(side), time.perf_counter()
    method(*arguments)
    seconds = time.perf_counter() - start
    if seconds < _SLOW_SECONDS:
        side = _SIDE
        arguments = damaged(side)
    memory = memory_of(lambda: method(*arguments), device)
    if side == _SIDE:
        seconds = median_seconds(lambda: method(*arguments), repeat, device)
    return {
        "name": cell.contender.name,
        "kind": cell.contender.kind,
        "damage": f"{cell.protocol.name}, {cell.condition.name}",
        "identity": cell.contender.identity,
        "parameters": None if network is None else sum(parameter.numel() for parameter in network.parameters()),
        "macs_per_pixel": None if network is None else macs_per_pixel(network) * passes,
        "side": side,
        "repeat": repeat if side == _SIDE else 1,
        "megapixels_per_second": side**2 / 1e6 / seconds,
        "peak_megabytes": None if memory is None else round(memory / 1e6, 1),
        "precision": restorer.precision if isinstance(restorer, Restorer) else "",
        "threads": torch.get_num_threads(),
        "machine": cell.contender.machine,
    }


def _meant_for(restorer: Restorer) -> str:
    return (restorer.card.protocol if restorer.card is not None else "") or "gaussian-awgn"


def _ours(name: str, restorer: Restorer) -> Contender:
    bundle = "" if restorer.card is None else f"{restorer.card.weights_sha256} card {_card_digest(restorer.card)}"
    ways = f" guarded {LIMIT:g}" * restorer.guarded + " turned" * restorer.turned
    torch_version = version("torch").partition("+")[0]
    identity = (
        f"{bundle} {restorer.precision} {restorer.device.type}{ways} tiles of {restorer.tile} torch {torch_version}"
    )
    machine = machine_name(restorer.device)
    return Contender(name, "bundle", restorer.restore, identity, "", machine, restorer.composites)


def precision_of(identity: str) -> str:
    """The precision in the identity of a bundle that has a card."""
    _weights, _card, _digest, precision, *_ = identity.split()
    return precision


def _card_digest(card: ModelCard) -> str:
    """What the pictures of a bundle depend on beside its weights, in twelve digits."""
    parts = ("network", "composites", "guarded", "turned", "ranges")
    told = {"revision": _REVISION} | {part: getattr(card, part) for part in parts}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def _others(condition: Condition, protocol: str, choice: str) -> Iterator[Contender]:
    if protocol == "clean":
        return  # the input is the truth, and a classical method needs to be told a strength
    yield Contender(INPUT, INPUT, lambda image, _mask: image, "")
    if choice == "none":
        return
    identity = f"opencv {version('opencv-python-headless')}, scikit-image {version('scikit-image')}"
    machine = machine_name(torch.device("cpu"))
    for baseline in (condition.baseline, *(condition.others if choice == "all" else ())):
        yield Contender(baseline.name, "classical", baseline.restore, identity, baseline.settings, machine)
