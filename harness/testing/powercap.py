"""A small copy of the kernel's powercap tree, with counters that a test moves, breaks and takes away.

devices/intel-rapl/intel-rapl:0/intel-rapl:0:1    the nested folders
class/intel-rapl:0:1                              what a meter is given: links to all of them, flat
"""

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from harness.measurement.energy.cpu.rapl import read_text

RANGE_UJ = 262_143_328_850  # what Intel servers show: 2^32 units of 2^-14 J


class PowercapTree:
    """The handle of a tree: `root` is what a meter is given; zones are named as meters name them.

    Permission bits do not stop root, so a denied counter is refused by `read_text`, which a meter is given
    as well; whoever is not root meets the real bits.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "class"
        self._devices = folder / "devices"
        self._folders: dict[str, Path] = {}
        self._refused: dict[Path, int] = {}
        self.root.mkdir(parents=True)

    def add(self, zone: str, place: str, name: str, *, range_uj: int = RANGE_UJ, energy_uj: int = 0) -> None:
        """Add a zone: `place` is its folder below the devices, `name` the text of its name file."""
        folder = self._devices / place
        folder.mkdir(parents=True)
        self._folders[zone] = folder
        for file, value in (("name", name), ("max_energy_range_uj", range_uj), ("energy_uj", energy_uj)):
            (folder / file).write_text(f"{value}\n")
        (self.root / folder.name).symlink_to(os.path.relpath(folder, self.root))

    def energy(self, zone: str) -> int:
        """Return the counter in microjoules."""
        return int(self._file(zone).read_text())

    def write(self, zone: str, text: str | int) -> None:
        """Put a number, or nonsense, into the counter."""
        self._file(zone).write_text(f"{text}\n")

    def advance(self, microjoules: int, zones: Iterable[str] | None = None) -> None:
        """Let zones (all, unless named) use energy; counters wrap at their range."""
        for zone in self._folders if zones is None else zones:
            wrap = int((self._folders[zone] / "max_energy_range_uj").read_text())
            self.write(zone, (self.energy(zone) + microjoules) % wrap)

    def deny(self, zone: str, file: str = "energy_uj") -> None:
        """Refuse permission to read a file of a zone, as the kernel does to all but root."""
        self._refuse(zone, file, errno.EACCES)
        (self._folders[zone] / file).chmod(0)

    def fail(self, zone: str, file: str = "energy_uj") -> None:
        """Let the kernel answer a read with an input/output error."""
        self._refuse(zone, file, errno.EIO)

    def remove(self, zone: str) -> None:
        """Take a zone away, as unloading its driver does."""
        folder = self._folders.pop(zone)
        (self.root / folder.name).unlink()
        shutil.rmtree(folder)

    def hide(self) -> None:
        """Hide what the links lead to, as container runtimes do."""
        shutil.rmtree(self._devices)

    def read_text(self, path: Path) -> str:
        """Read a file of the tree as a meter does, unless it is refused."""
        number = self._refused.get(path.resolve())
        if number is not None:
            raise OSError(number, os.strerror(number))
        return read_text(path)

    def _file(self, zone: str) -> Path:
        return self._folders[zone] / "energy_uj"

    def _refuse(self, zone: str, file: str, number: int) -> None:
        self._refused[(self._folders[zone] / file).resolve()] = number


def powercap_tree(
    folder: Path,
    *,
    sockets: int = 2,
    dram: bool = True,
    core: bool = True,
    psys: bool = False,
    mmio_duplicate: bool = False,
    range_uj: int = RANGE_UJ,
) -> PowercapTree:
    """Write a tree below an empty folder and return its handle.

    Zones are `package-0`, `package-0/core`, `package-0/dram`, ..., `psys`, and `mmio/package-0` for the
    duplicate.
    """
    tree = PowercapTree(folder)
    for socket in range(sockets):
        package = f"intel-rapl/intel-rapl:{socket}"
        tree.add(f"package-{socket}", package, f"package-{socket}", range_uj=range_uj)
        inside = [name for name, wanted in (("core", core), ("dram", dram)) if wanted]
        for index, name in enumerate(inside):
            child = f"{package}/intel-rapl:{socket}:{index}"
            tree.add(f"package-{socket}/{name}", child, name, range_uj=range_uj)
    if psys:
        tree.add("psys", f"intel-rapl/intel-rapl:{sockets}", "psys", range_uj=range_uj)
    if mmio_duplicate:
        tree.add("mmio/package-0", "intel-rapl-mmio/intel-rapl-mmio:0", "package-0", range_uj=range_uj)
    return tree
