"""Devices and precisions: what `auto` becomes, and what is refused in which words."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from restore import devices
from restore.devices import (
    Precision,
    PrecisionChoice,
    choose_device,
    choose_inference_precision,
    choose_precision,
    compute_dtype,
    computing_in,
    has_fast_int8,
)
from restore.errors import PrecisionError, UsageError

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda", 0), torch.device("mps")


def pretend(monkeypatch: pytest.MonkeyPatch, gpus: int = 0, apple: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)
    monkeypatch.setattr(devices, "_computes", lambda _: True)


@pytest.mark.parametrize(("gpus", "apple", "expected"), [(0, False, CPU), (2, False, CUDA), (0, True, MPS)])
def test_auto_prefers_a_gpu(monkeypatch: pytest.MonkeyPatch, gpus: int, apple: bool, expected: torch.device) -> None:
    pretend(monkeypatch, gpus, apple)
    assert choose_device("auto") == choose_device() == expected


def test_auto_leaves_a_gpu_alone_that_torch_was_not_built_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    computes = devices._computes.__wrapped__
    pretend(monkeypatch, gpus=1)

    def no_kernel(*_: object, **__: object) -> Tensor:
        raise torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(torch, "zeros", no_kernel)
    monkeypatch.setattr(devices, "_computes", computes)
    assert choose_device("auto") == CPU
    assert "cuda:0 is left alone: CUDA error: no kernel image" in caplog.text


@pytest.mark.parametrize(
    "words",
    [
        "MPS backend out of memory (MPS allocated: 8.00 GB)",
        "Invalid buffer size: 20.00 GB",
        "cuFFT error: CUFFT_ALLOC_FAILED",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    ],
)
def test_a_lack_of_memory_is_known_in_the_words_of_every_device(words: str) -> None:
    reached = False
    with devices.SuppressOutOfMemory():
        raise RuntimeError(words)
    reached = True
    assert reached
    with pytest.raises(RuntimeError, match="a bug"), devices.SuppressOutOfMemory():
        raise RuntimeError("a bug")


def test_bfloat16_on_a_gpu_without_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    with pytest.raises(PrecisionError, match="needs a GPU since Ampere, and cuda:0 is older: use 16-mixed"):
        choose_precision("bf16-mixed", CUDA)


def test_a_device_that_is_there_is_taken_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, gpus=2, apple=True)
    assert choose_device("cpu") == CPU
    assert choose_device("cuda") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device("mps") == MPS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("banana", "unknown device 'banana': use auto, cpu, cuda"),
        ("", "unknown device ''"),
        ("cuda:-1", "unknown device 'cuda:-1'"),
        ("cuda:99", r"'cuda:99' is not there: torch sees 1 CUDA device\(s\)"),
        ("mps", "'mps' is not there: it needs macOS"),
        ("meta", "'meta' is not supported: use auto"),
    ],
)
def test_a_device_that_is_not_there_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    pretend(monkeypatch, gpus=1)
    with pytest.raises(UsageError, match=message):
        choose_device(name)


def test_a_machine_without_a_gpu_refuses_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    with pytest.raises(UsageError, match=r"'cuda' is not there: torch sees 0 CUDA device\(s\)"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("device", "capability", "expected"),
    [(CUDA, (9, 0), "bf16-mixed"), (CUDA, (8, 0), "bf16-mixed"), (CUDA, (7, 5), "16-mixed"), (MPS, (9, 0), "32")],
)
def test_auto_precision_is_what_the_hardware_multiplies_fast(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, capability: tuple[int, int], expected: Precision
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert choose_precision("auto", device) == expected


@pytest.mark.parametrize("choice", ["32", "bf16-mixed"])
def test_a_precision_that_is_asked_for_is_kept(choice: PrecisionChoice) -> None:
    assert choose_precision(choice, CPU) == choice
    assert choose_precision("16-mixed", CUDA) == "16-mixed"


@pytest.mark.parametrize(
    ("choice", "device", "message"),
    [
        ("16-mixed", CPU, "16-mixed needs a CUDA GPU, and this runs on 'cpu': use --precision auto, which is"),
        ("16-mixed", MPS, "16-mixed needs a CUDA GPU, and this runs on 'mps'"),
        ("bf16-mixed", MPS, "bf16-mixed is not available on 'mps': use --precision 32"),
    ],
)
def test_a_precision_that_the_device_lacks_is_refused(
    choice: PrecisionChoice, device: torch.device, message: str
) -> None:
    with pytest.raises(PrecisionError, match=message):
        choose_precision(choice, device)


def test_training_on_an_apple_gpu_is_refused_in_words_that_help(monkeypatch: pytest.MonkeyPatch) -> None:
    from restore.cli.train import _resolve_precision

    pretend(monkeypatch, apple=True)
    with pytest.raises(UsageError, match=r"train with --trainer\.accelerator cpu"):
        _resolve_precision("auto", "auto")
    assert _resolve_precision("32", "cpu") == "32"


def test_each_precision_has_its_dtype() -> None:
    assert compute_dtype("32") == torch.float32
    assert compute_dtype("bf16-mixed") == torch.bfloat16
    assert compute_dtype("16-mixed") == torch.float16


def test_float32_means_every_digit_while_it_is_open() -> None:
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    usual, image = convolutions.fp32_precision, torch.rand(1, 1, 8, 8)
    with computing_in("32", CPU):
        assert convolutions.fp32_precision == "ieee"
        assert F.conv2d(image, image).dtype == torch.float32
    assert convolutions.fp32_precision == usual
    with computing_in("bf16-mixed", CPU):
        assert convolutions.fp32_precision == usual
        assert F.conv2d(image, image).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("instruction", "amx", "name", "expected"),
    [
        (True, False, "AMD EPYC 9B45", "bf16-mixed"),
        (True, True, "Intel Xeon", "bf16-mixed"),
        (True, False, "Intel Xeon", "32"),  # whose AVX512-BF16 is slower than float32
        (True, False, "", "bf16-mixed"),
        (False, False, "AMD EPYC", "32"),
    ],
)
def test_auto_on_a_cpu_is_what_is_faster(
    monkeypatch: pytest.MonkeyPatch, instruction: bool, amx: bool, name: str, expected: Precision
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instruction, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name}, raising=False)
    assert choose_precision("auto", CPU) == expected
    assert has_fast_int8(CPU) == instruction  # faster than float32 on all of them
    assert choose_inference_precision("fast", CPU, has_ranges=True) == ("int8" if instruction and not amx else expected)


def test_torch_that_does_not_say_whose_the_cpu_is_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert choose_precision("auto", CPU) == "bf16-mixed"


def test_a_precision_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="precision 'bf16': use one of auto, fast, 32"):
        choose_precision("bf16", torch.device("cpu"))  # type: ignore[arg-type]  # as from Python
