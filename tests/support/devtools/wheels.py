"""The files of a release: the sources, and a wheel for each machine with the compiled encoder.

    python -m devtools.wheels [FOLDER] [--machine aarch64]

    source tree --build--> sdist
                --gcc for x86_64, zig for aarch64--> objects --zig, glibc 2.28--> manylinux_2_28 wheels

zig (`ziglang`) cross-compiles, and links against an old C library whatever this machine has. On x86_64 gcc
compiles, as it does where a model is prepared: both libraries then have the same instructions.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from optimized.native.levels import LEVELS, MACHINES

ROOT = Path(__file__).parents[3]
PLATFORM = "manylinux_2_28"
_GLIBC = "2.28"

# zig has names of its own for ARM's architectures
_ZIG = """#!/bin/sh
for option do
  shift
  case $option in
    -march=armv8.2-a*) option=-mcpu=generic+v8_2a${{option#-march=armv8.2-a}} ;;
  esac
  set -- "$@" "$option"
done
exec {python} -m ziglang cc -target {machine}-linux-gnu.{glibc} "$@"
"""


def zig(machine: str, folder: Path) -> Path:
    """Write a C compiler for a machine to a folder: zig, with an old C library and gcc's options."""
    script = folder / f"zig-{machine}"
    python = shlex.quote(sys.executable)
    script.write_text(_ZIG.format(python=python, machine=machine, glibc=_GLIBC), encoding="utf-8")
    script.chmod(0o755)
    return script


def tools(machine: str, folder: Path) -> Mapping[str, str]:
    """Return the compiler and the linker of a machine's wheel, as setup.py reads them."""
    script = str(zig(machine, folder))
    gcc = shutil.which("gcc") if machine == os.uname().machine == "x86_64" else None
    return {"CC": gcc or script, "LDSHARED": f"{script} -s"}


def build(folder: Path, machines: Sequence[str]) -> None:
    """Build the sources and the wheels; subprocess.CalledProcessError if one fails."""
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    subprocess.run([*command, "--sdist"], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        for machine in machines:
            option = f"-C--build-option=--plat-name={PLATFORM}_{machine}"
            environment = {**os.environ, **tools(machine, Path(scratch))}
            subprocess.run([*command, "--wheel", option], check=True, env=environment)


def platform_of(wheel: Path) -> str:
    """Return the oldest platform that a wheel's library runs on, as auditwheel finds it."""
    command = [sys.executable, "-m", "auditwheel", "show", str(wheel)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r'platform tag:\s*"(\w+)"', text)
    return found[1] if found else text


def check(wheel: Path) -> None:
    """Print what a wheel needs; SystemExit if that is more than its name promises."""
    needed, promised = platform_of(wheel), wheel.stem.rpartition("-")[2]
    numbers = [re.match(r"manylinux_2_(\d+)_(\w+)", name) for name in (needed, promised)]
    levels = [level.name for level in LEVELS if promised.endswith(level.machine)]
    with zipfile.ZipFile(wheel) as files:
        description = json.loads(files.read("optimized/native/prebuilt/encoder.json"))
    if not numbers[0] or not numbers[1] or int(numbers[0][1]) > int(numbers[1][1]):
        raise SystemExit(f"{wheel.name} needs {needed}")
    if description["levels"] != levels:
        raise SystemExit(f"{wheel.name} has the levels {description['levels']}, not {levels}")
    print(f"{wheel.name}: needs {needed}, {description['compiler']}, {', '.join(levels)}")  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> None:
    """Build what the options name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist")
    parser.add_argument("--machine", choices=MACHINES, action="append", help="default: all")
    options = parser.parse_args(arguments)
    build(options.folder, options.machine or MACHINES)
    for wheel in sorted(options.folder.glob("*.whl")):
        check(wheel)


if __name__ == "__main__":
    main()
