import pytest

from harness.catalog import DEFAULT_VARIANTS, default_variants, load_catalog
from harness.common.errors import DeviceError, UsageError
from harness.measurement.machine.devices import check_device, devices_of, one_device
from harness.measurement.machine.gpu_boards import boards_of


def test_cpu_is_always_there() -> None:
    """The driver is not called."""
    check_device("cpu", gpus=lambda: 1 // 0)


def test_cuda_names_a_gpu_by_its_index() -> None:
    """`cuda` is `cuda:0`."""
    check_device("cuda", gpus=lambda: 1, visible=lambda: None)
    check_device("cuda:1", gpus=lambda: 2, visible=lambda: None)
    with pytest.raises(DeviceError, match=r"cuda:2 is not available: this machine has 2 NVIDIA GPU"):
        check_device("cuda:2", gpus=lambda: 2, visible=lambda: None)
    with pytest.raises(DeviceError, match="no NVIDIA GPU"):
        check_device("cuda", gpus=lambda: 0)


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", ""])
def test_a_name_that_is_no_device_is_refused(name: str) -> None:
    """With the names that are."""
    with pytest.raises(UsageError, match="Devices are cpu, cuda and cuda:N"):
        check_device(name, gpus=lambda: 8)


@pytest.mark.parametrize(
    ("visible", "device", "there"),
    [
        ("3", "cuda:0", True),
        ("3", "cuda:1", False),  # the only one CUDA is shown is its number 0
        ("3,GPU-5a", "cuda:1", True),
        ("3,9,1", "cuda:1", False),  # CUDA stops at what is not there
        ("", "cuda", False),
        ("-1", "cuda", False),
    ],
)
def test_cuda_counts_among_the_boards_that_it_is_shown(visible: str, device: str, there: bool) -> None:
    """As CUDA itself does, and the meter; the message names the variable."""
    if there:
        check_device(device, gpus=lambda: 4, visible=lambda: visible)
        return
    with pytest.raises(DeviceError, match=r"CUDA_VISIBLE_DEVICES=.* of 4 NVIDIA") as refused:
        check_device(device, gpus=lambda: 4, visible=lambda: visible)
    assert "change or unset" in str(refused.value)


def test_the_board_that_works_is_the_board_that_is_read() -> None:
    """`cuda:1` of the boards 3 and 1 is the driver's board 1, for CUDA and for the meter alike."""
    check_device("cuda:1", gpus=lambda: 4, visible=lambda: "3,1")
    assert boards_of(1, "3,1") == (1,)


def test_several_devices_are_named_once_each() -> None:
    """`cuda` is short for `cuda:0`, so that the two are one device."""
    assert devices_of("cpu, cuda,cuda:1") == ("cpu", "cuda:0", "cuda:1")
    with pytest.raises(UsageError, match="cuda:0 is named twice"):
        devices_of("cuda:0,cuda")


def test_what_works_on_one_device_says_so() -> None:
    """Training, predictions and the gate have one."""
    assert one_device("cuda") == "cuda:0"
    with pytest.raises(UsageError, match="takes one device, got 2"):
        one_device("cuda:0,cuda:1")


@pytest.mark.parametrize(("visible", "why"), [("0,0", "shows 0 of 4"), ("MIG-a,MIG-b", "one MIG instance")])
def test_boards_that_cuda_would_not_show_are_not_counted(visible: str, why: str) -> None:
    """A board named twice leaves it none; of two MIG instances a process is shown the first."""
    with pytest.raises(DeviceError, match=why):
        check_device("cuda:1", gpus=lambda: 4, visible=lambda: visible)


def test_what_is_measured_by_default_runs_on_the_device() -> None:
    """The baseline and PyTorch without padding in both; no engine of the CPU on a GPU."""
    assert default_variants("cpu") == DEFAULT_VARIANTS
    on_gpu = default_variants("cuda:1")
    assert on_gpu[:2] == DEFAULT_VARIANTS[:2]
    assert set(on_gpu) <= set(load_catalog().variants)
    assert not any(name.startswith("onnx-") for name in on_gpu)
