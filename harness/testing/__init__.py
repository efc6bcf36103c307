"""Public fakes: implementations of the harness's protocols whose behaviour a test controls."""

from harness.measurement.energy.fake import FakeMeter
from harness.testing.clock import FakeClock
from harness.testing.powercap import PowercapTree, powercap_tree

__all__ = ["FakeClock", "FakeMeter", "PowercapTree", "powercap_tree"]
