"""Words that stand for several variants on the command line: all, default and cpu."""

from collections.abc import Callable, Sequence

from harness.catalog import COMMAND, NULL, NULL_SERVER, Catalog, default_variants
from harness.common.errors import UsageError
from harness.measurement.machine.devices import device_kind

ALL, DEFAULT, CPU = "all", "default", "cpu"
WORDS = (ALL, DEFAULT, CPU)

NEVER_IN_ALL = (NULL, COMMAND, NULL_SERVER)
"""Two measure the harness itself or its client, and one needs a program."""


def single_variant(name: str) -> tuple[str]:
    """Return the one variant of this name; UsageError for a word that stands for several."""
    if name in WORDS:
        raise UsageError(
            f"expected one variant, got {name!r}, which stands for several.",
            remedy="Name one; `bench list` has them.",
        )
    return (name,)


def expand_words(
    names: Sequence[str], device: str, catalog: Catalog, warn: Callable[[str], None]
) -> tuple[str, ...]:
    """Return names of variants: those of each word in its place, and each that a word adds only once.

    `default` stands for the variants that are measured on the device if none are named, `all` for every
    variant that can run on it here, and `cpu` for the same on the CPU: UsageError for it on another device.
    """
    expanded: list[str] = []
    for name in names:
        if name not in WORDS:
            expanded.append(name)
            continue
        explicit = {*names, *expanded}
        expanded += [variant for variant in _of_word(name, device, catalog, warn) if variant not in explicit]
    return tuple(expanded)


def _of_word(word: str, device: str, catalog: Catalog, warn: Callable[[str], None]) -> list[str]:
    if word == CPU and device_kind(device) != "cpu":
        raise UsageError(
            f"--variants cpu stands for those that run on a CPU, and the device is {device}.",
            remedy="Use --variants all, which stands for those that run on the device.",
        )
    if word == DEFAULT:
        return [name for name in default_variants(device) if not catalog.why_not(name, device)]
    every = [name for name in catalog.variants if name not in NEVER_IN_ALL]
    able = [name for name in every if not catalog.why_not(name, device)]
    if len(able) < len(every):
        warn(f"--variants {word}: {len(able)} of {len(every)} can run here; `bench doctor` has the reasons.")
    return able
