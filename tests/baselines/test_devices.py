from collections.abc import Mapping
from pathlib import Path

import pytest

from baselines.devices import devices_by_variant
from baselines.engines.null import NullVariant
from harness.catalog import built_in, load_catalog
from harness.common.errors import DeviceError
from harness.systems.interface import Artifact, Placement, Settings, Variant
from harness.workload.tasks import get_task

VARIANTS: Mapping[str, Variant] = built_in(load_catalog().variants)


def refused(variant: Variant, device: str, folder: Path) -> str:
    """Return with what a variant refuses a device when it loads; empty where it goes on to its artifact."""
    try:
        placement = Placement(device, (0,), 1)
        variant.load(get_task("boolq"), Artifact(folder, "key", {}), placement, Settings(64)).close()
    except DeviceError as error:
        return error.message
    except Exception:  # noqa: BLE001 -- the folder holds no artifact of any variant
        return ""
    return ""


@pytest.mark.parametrize("name", VARIANTS)
def test_the_table_agrees_with_what_each_variant_refuses(name: str, tmp_path: Path) -> None:
    """Each is loaded on a CPU and on CUDA, from a folder that holds nothing."""
    kinds = devices_by_variant([name])[name]
    assert bool(refused(VARIANTS[name], "cpu", tmp_path)) == ("cpu" not in kinds)
    if " on the CPU" in refused(VARIANTS[name], "cuda:0", tmp_path):
        assert "cuda" not in kinds


def test_what_runs_anywhere_has_both_kinds() -> None:
    """The harness's own check, and plain PyTorch."""
    assert devices_by_variant([NullVariant().name, "pytorch-fixed"]) == dict.fromkeys(
        ("null", "pytorch-fixed"), ("cpu", "cuda")
    )
