"""The generation of a server's processor, from the numbers that the kernel shows for it.

A virtual machine often hides the processor's name (`AMD EPYC`, `Intel Xeon Processor`), and still shows its
family, model and stepping. The numbers are those of Linux: arch/x86/include/asm/intel-family.h, and for AMD
the model ranges of each Zen generation.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation of server processors: vendor, family, and ranges of models and steppings."""

    name: str
    vendor: str
    family: int
    models: range
    steppings: range = range(256)
    part_of_name: str = ""

    def fits(self, vendor: str, family: int, model: int, stepping: int, name: str) -> bool:
        """Return whether a processor with these numbers is of this generation."""
        numbers = model in self.models and stepping in self.steppings
        return (vendor, family) == (self.vendor, self.family) and numbers and self.part_of_name in name


_INTEL = ("GenuineIntel", 6)

GENERATIONS = (
    Generation("Sandy Bridge", *_INTEL, range(45, 46)),
    Generation("Ivy Bridge", *_INTEL, range(62, 63)),
    Generation("Haswell", *_INTEL, range(63, 64)),
    Generation("Broadwell", *_INTEL, range(79, 80)),
    Generation("Broadwell", *_INTEL, range(86, 87)),
    Generation("Skylake", *_INTEL, range(85, 86), range(5)),
    Generation("Cascade Lake", *_INTEL, range(85, 86), range(5, 8)),
    Generation("Coffee Lake", *_INTEL, range(158, 159), range(10, 14), "Xeon"),
    Generation("Ice Lake", *_INTEL, range(106, 107)),
    Generation("Ice Lake", *_INTEL, range(108, 109)),
    Generation("Sapphire Rapids", *_INTEL, range(143, 144)),
    Generation("Emerald Rapids", *_INTEL, range(207, 208)),
    Generation("Granite Rapids", *_INTEL, range(173, 175)),
    Generation("AMD EPYC 1st Gen", "AuthenticAMD", 23, range(16), part_of_name="EPYC"),
    Generation("AMD EPYC 2nd Gen", "AuthenticAMD", 23, range(48, 64), part_of_name="EPYC"),
    Generation("AMD EPYC 3rd Gen", "AuthenticAMD", 25, range(16), part_of_name="EPYC"),
    Generation("AMD EPYC 4th Gen", "AuthenticAMD", 25, range(16, 32), part_of_name="EPYC"),
    Generation("AMD EPYC 4th Gen", "AuthenticAMD", 25, range(160, 176), part_of_name="EPYC"),
    Generation("AMD EPYC 5th Gen", "AuthenticAMD", 26, range(32), part_of_name="EPYC"),
)
"""Sorted by vendor and age. A client processor with the same numbers differs in its name."""


def generation_of(info: Mapping[str, str]) -> str | None:
    """Return the generation of the processor of `/proc/cpuinfo`, or None if it is none of the table."""
    texts = [info.get(name, "") for name in ("cpu family", "model", "stepping")]
    if not all(text.isdigit() for text in texts):
        return None
    family, model, stepping = map(int, texts)
    vendor, name = info.get("vendor_id", ""), info.get("model name", "")
    fitting = (row.name for row in GENERATIONS if row.fits(vendor, family, model, stepping, name))
    return next(fitting, None)
