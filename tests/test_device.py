import pytest

from harness.device import check_device
from harness.errors import DeviceError, UsageError


def test_cpu_is_always_there() -> None:
    """It asks no driver."""
    check_device("cpu", gpus=lambda: 1 // 0)


def test_cuda_names_a_gpu_by_its_index() -> None:
    """`cuda` is `cuda:0`."""
    check_device("cuda", gpus=lambda: 1)
    check_device("cuda:1", gpus=lambda: 2)
    with pytest.raises(DeviceError, match=r"cuda:2 is not there: this machine shows 2 NVIDIA GPU"):
        check_device("cuda:2", gpus=lambda: 2)
    with pytest.raises(DeviceError, match="no NVIDIA GPU"):
        check_device("cuda", gpus=lambda: 0)


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", ""])
def test_a_name_that_is_no_device_is_refused(name: str) -> None:
    """With the names that are."""
    with pytest.raises(UsageError, match="Devices are cpu, cuda and cuda:N"):
        check_device(name, gpus=lambda: 8)
