"""Compiles the encoder (optimized/native/kernels) into the wheel, with all levels of the wheel's machine.

    kernels/*.c --$CC, once a level--> objects --$LDSHARED--> prebuilt/encoder.so, encoder.json

Without a C compiler, or on another machine, the wheel has the sources only and is for any platform. A wheel
whose platform is given (`--plat-name`) is refused without its library. ctypes loads the library, so one wheel
serves every Python. pyproject.toml holds everything else.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).parent))
from optimized.native.levels import (  # an isolated build lacks this folder on its path
    LEVELS,
    MACHINES,
    Level,
    compile_command,
    link_command,
    source_sha256,
)

COMPILERS = ("cc", "gcc", "clang")


def compiler() -> list[str]:
    """Return the command of the C compiler: `CC`, or the first on PATH; empty if there is none."""
    chosen = shlex.split(os.environ.get("CC", ""))
    names = chosen[:1] or COMPILERS
    path = next((path for name in names if (path := shutil.which(name))), None)
    return [path, *chosen[1:]] if path else []


def compile_encoder(machine: str, folder: Path) -> str:
    """Compile the levels of a machine that the compiler has into a folder; return why not if it fails."""
    command = compiler()
    levels = [level for level in LEVELS if level.machine == machine]
    if not command or not levels:
        return (
            "there is no C compiler (CC, cc, gcc or clang)" if levels else f"there is no level for {machine}"
        )
    linker = shlex.split(os.environ.get("LDSHARED", "")) or command
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:
        compiled = list(pool.map(lambda level: _compile(command, level, Path(scratch)), levels))
        objects = {level.name: target for level, target in zip(levels, compiled, strict=True) if target}
        if not objects:
            return f"{command[0]} compiled no level"
        folder.mkdir(parents=True, exist_ok=True)
        linked = _run(link_command(linker, objects.values(), folder / "encoder.so"))
    description = {"source": source_sha256(), "compiler": _version(command), "levels": list(objects)}
    (folder / "encoder.json").write_text(json.dumps(description) + "\n", encoding="utf-8")
    return "" if linked else f"{linker[0]} could not link the encoder"


def _compile(command: list[str], level: Level, scratch: Path) -> Path | None:
    target = scratch / f"{level.name}.o"
    return target if _run(compile_command(command, level.symbol, level.options, target)) else None


def _run(command: list[str]) -> bool:
    process = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)  # noqa: S603
    if process.returncode:
        print(shlex.join(command), process.stderr, sep="\n", file=sys.stderr)  # noqa: T201 -- a build's log
    return process.returncode == 0


def _version(command: list[str]) -> str:
    process = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True)  # noqa: S603
    return process.stdout.splitlines()[0]


class BuildWithEncoder(build_py):
    """Copies the packages, then compiles the encoder beside them; not for an editable installation."""

    def run(self) -> None:
        """Build; SystemExit if the wheel's platform was given and its library cannot be made."""
        super().run()
        if self.editable_mode:
            return
        wheel = self.get_finalized_command("bdist_wheel")
        machine = next(
            (name for name in MACHINES if str(wheel.plat_name).endswith(name)), str(wheel.plat_name)
        )
        folder = Path(self.build_lib) / "optimized" / "native" / "prebuilt"
        shutil.rmtree(folder, ignore_errors=True)
        problem = compile_encoder(machine, folder)
        if problem and wheel.plat_name_supplied:
            raise SystemExit(f"no encoder for {wheel.plat_name}: {problem}")
        if problem:
            shutil.rmtree(folder, ignore_errors=True)
            self.warn(f"the wheel has no compiled encoder ({problem}): native-int8 will need a C compiler")
        else:
            self.distribution.has_ext_modules = lambda: True


class PlatformWheel(bdist_wheel):
    """A wheel for every Python: of its platform with the library, of any without it."""

    def run(self) -> None:
        """Build first: what the wheel is for depends on whether the encoder compiled."""
        self.run_command("build")
        self.root_is_pure = not self.distribution.has_ext_modules()
        super().run()

    def get_tag(self) -> tuple[str, str, str]:
        """Return the tag without a Python and without an interface to it."""
        if self.root_is_pure:
            return super().get_tag()
        return "py3", "none", self.plat_name.lower().replace("-", "_").replace(".", "_")


setup(cmdclass={"build_py": BuildWithEncoder, "bdist_wheel": PlatformWheel})
