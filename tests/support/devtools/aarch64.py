"""The tests of the compiled encoder with the C code of aarch64, in qemu: answers, then memory and behaviour.

    python -m devtools.aarch64 [--wheel FILE] [TEST...]

    aarch64-linux-gnu-gcc --> encoder.so of each level --+
    a wheel's library, in place of these ----------------+--> qemu-aarch64 --> the tests (-p emulated)
    aarch64-linux-gnu-gcc with sanitizers --> planted faults, then a part of the tests

The exit code is 1 if a test fails or a sanitizer reports something or misses its planted fault. Without the
cross-compiler or qemu (Debian's packages gcc-aarch64-linux-gnu and qemu-user), or the wheel's file, a message
says so, and the exit code is 0.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
NATIVE = "tests/optimized/native"
TESTS = tuple(f"{NATIVE}/test_{name}.py" for name in ("processors", "answers", "sequences", "families"))
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
_LIBRARY = ("optimized/native/prebuilt/encoder.so", "optimized/native/prebuilt/encoder.json")

_SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1 -O1"
_SANITIZED = (
    *(f"{NATIVE}/test_{name}.py" for name in ("sequences", "answers")),
    "-k",
    "company or refused or fill",
)
_FAULTS = {
    "AddressSanitizer": (
        "int main(void) { volatile int size = 8; volatile char *memory = malloc(size); return memory[size]; }"
    ),
    "runtime error": "int main(void) { volatile int most = 2147483647; return most + 1; }",
}


def sysroot() -> Path | None:
    """Return the folder with aarch64's C library; None if there is none."""
    return next((path for path in (Path("/usr/aarch64-linux-gnu"), Path("/")) if _has_loader(path)), None)


def _has_loader(root: Path) -> bool:
    return (root / "lib" / "ld-linux-aarch64.so.1").exists()


def missing() -> str:
    """Return what this machine lacks, empty if nothing."""
    absent = [name for name in (COMPILER, EMULATOR) if shutil.which(name) is None]
    if absent:
        return f"not on PATH: {', '.join(absent)} (Debian: gcc-aarch64-linux-gnu, qemu-user)"
    return "" if sysroot() else "there is no C library of aarch64 (Debian: libc6-dev-arm64-cross)"


def environment(folder: Path, options: str = "") -> Mapping[str, str]:
    """Return the variables that tests/support/emulated.py reads; `options` are added to each compilation."""
    compiler = folder / "cc"
    compiler.write_text(f'#!/bin/sh\nexec {COMPILER} "$@" {options}\n', encoding="utf-8")
    compiler.chmod(0o755)
    return {
        **os.environ,
        "AARCH64_CC": str(compiler),
        "AARCH64_RUN": f"{EMULATOR} -L {sysroot()}",
        "ASAN_OPTIONS": "detect_leaks=0",  # it would trace the process, which qemu cannot
        "PYTHONPATH": str(ROOT / "tests" / "support"),
        "OMP_NUM_THREADS": "1",
    }


def run_tests(variables: Mapping[str, str], tests: Sequence[str]) -> int:
    """Run tests in the emulator; return pytest's exit code."""
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "emulated", *tests]
    return subprocess.run(command, check=False, cwd=ROOT, env=variables).returncode


def missed_fault(folder: Path, variables: Mapping[str, str]) -> str:
    """Return the first planted fault that is not reported; empty if all are."""
    for word, program in _FAULTS.items():
        source, target = folder / "fault.c", folder / "fault"
        source.write_text(f"#include <stdlib.h>\n{program}\n", encoding="utf-8")
        subprocess.run([variables["AARCH64_CC"], source, "-o", target], check=True)
        run = [*shlex.split(variables["AARCH64_RUN"]), str(target)]
        process = subprocess.run(run, check=False, capture_output=True, text=True, env=variables)
        if word not in process.stderr:
            return f"{program}\n{process.stderr}"
    return ""


def check_memory(folder: Path) -> int:
    """Run a part of the tests under sanitizers; return 1 if they fail or a planted fault is missed."""
    folder.mkdir()
    variables = environment(folder, _SANITIZERS)
    if fault := missed_fault(folder, variables):
        print(f"a planted fault was not reported:\n{fault}")  # noqa: T201 -- a program of its own
        return 1
    return int(run_tests(variables, ["-x", *_SANITIZED]) != 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything, or the tests that are named; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="its library is tested, not a compiled one")
    parser.add_argument("tests", nargs="*", help="default: all, then a part under sanitizers")
    options = parser.parse_args(arguments)
    if reason := missing():
        print(f"The tests for aarch64 did not run: {reason}.")  # noqa: T201 -- as above
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        variables = dict(environment(folder))
        if options.wheel:
            with zipfile.ZipFile(options.wheel) as wheel:
                paths = [Path(wheel.extract(name, folder)) for name in _LIBRARY]
            variables["AARCH64_PREBUILT"] = str(paths[0].parent)
        code = run_tests(variables, options.tests or TESTS)
        if code == 0 and not (options.wheel or options.tests):
            code = check_memory(folder / "sanitized")
    return int(code != 0)


if __name__ == "__main__":
    sys.exit(main())
