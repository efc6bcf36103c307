"""A copy of the kernel's powercap tree, with counters that a test advances, breaks and removes.

devices/intel-rapl/intel-rapl:0/intel-rapl:0:1    the nested folders
class/intel-rapl:0:1                              what a meter reads: links to all of them, flat
"""

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from harness.measurement.energy.counters.meter import read_text

RANGE_UJ = 262_143_328_850  # as on Intel's servers: 2^32 units of 2^-14 J


class PowercapTree:
    """The handle of a tree: `root` is the folder for a meter; zones have the names that meters give them.

    Permission bits do not stop the user root, so `read_text`, which a test passes to the meter, raises for a
    counter that was denied; for other users the permission bits are set as well.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "class"
        self._devices = folder / "devices"
        self._folders: dict[str, Path] = {}
        self._errors: dict[Path, int] = {}
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
        """Write any text into the counter's file."""
        self._file(zone).write_text(f"{text}\n")

    def advance(self, microjoules: int, zones: Iterable[str] | None = None) -> None:
        """Add energy to the counters of these zones, or of all; counters wrap around at their range."""
        for zone in self._folders if zones is None else zones:
            wrap = int((self._folders[zone] / "max_energy_range_uj").read_text())
            self.write(zone, (self.energy(zone) + microjoules) % wrap)

    def deny(self, zone: str, file: str = "energy_uj") -> None:
        """Deny permission to read a file of a zone, as the kernel does to all users but root."""
        self._set_error(zone, file, errno.EACCES)
        (self._folders[zone] / file).chmod(0)

    def fail(self, zone: str, file: str = "energy_uj") -> None:
        """Make reads of a file fail with an input/output error."""
        self._set_error(zone, file, errno.EIO)

    def remove(self, zone: str) -> None:
        """Remove a zone, as unloading its driver does."""
        folder = self._folders.pop(zone)
        (self.root / folder.name).unlink()
        shutil.rmtree(folder)

    def hide(self) -> None:
        """Remove the targets of the links, as container runtimes do."""
        shutil.rmtree(self._devices)

    def read_text(self, path: Path) -> str:
        """Read a file of the tree as a meter does; OSError if it was denied or made to fail."""
        error_number = self._errors.get(path.resolve())
        if error_number is not None:
            raise OSError(error_number, os.strerror(error_number))
        return read_text(path)

    def _file(self, zone: str) -> Path:
        return self._folders[zone] / "energy_uj"

    def _set_error(self, zone: str, file: str, error_number: int) -> None:
        self._errors[(self._folders[zone] / file).resolve()] = error_number


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
        children = [name for name, included in (("core", core), ("dram", dram)) if included]
        for index, name in enumerate(children):
            child = f"{package}/intel-rapl:{socket}:{index}"
            tree.add(f"package-{socket}/{name}", child, name, range_uj=range_uj)
    if psys:
        tree.add("psys", f"intel-rapl/intel-rapl:{sockets}", "psys", range_uj=range_uj)
    if mmio_duplicate:
        tree.add("mmio/package-0", "intel-rapl-mmio/intel-rapl-mmio:0", "package-0", range_uj=range_uj)
    return tree
