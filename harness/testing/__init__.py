"""Public fakes: real implementations of the harness's protocols whose answers a test decides."""

from harness.testing.clock import FakeClock
from harness.testing.meter import FakeMeter
from harness.testing.powercap import PowercapTree, powercap_tree

__all__ = ["FakeClock", "FakeMeter", "PowercapTree", "powercap_tree"]
