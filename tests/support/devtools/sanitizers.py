"""The C code under the sanitizers of gcc: invalid memory accesses, undefined behaviour and data races.

    python -m devtools.sanitizers

    gcc with a sanitizer, as CC --> tests of the compiled encoder, in a Python with its runtime preloaded
                            `----> the programs of baselines/hardware

Planted faults come first: a sanitizer that misses its fault checks nothing here. The exit code is 1 if a
sanitizer reports something or misses its planted fault. Without gcc or the runtimes a message says so, and
the exit code is 0.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).parents[3]
NATIVE = "tests/optimized/native"
TIMEOUT_S = 1800

_ADDRESS = "int fault(void) { volatile char *memory = malloc(8); return memory[8]; }"
_UNDEFINED = "int fault(void) { volatile int most = 2147483647; return most + 1; }"
_THREAD = """
static int count;
static void *add(void *unused) { for (int i = 0; i < 1000; i++) count++; return unused; }
int fault(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, add, NULL);
  add(NULL);
  return pthread_join(thread, NULL);
}
"""
_REPORTS = ("AddressSanitizer", "runtime error", "ThreadSanitizer")
_OPTIONS = ("-q", "-s", "-x", "-p", "sanitized")
_CALL = "import ctypes, sys; ctypes.CDLL(sys.argv[1]).fault()"


@dataclass(frozen=True, slots=True)
class Sanitizer:
    """Options of gcc, the runtimes to preload and their settings, the tests to run, and planted faults."""

    name: str
    options: tuple[str, ...]
    runtimes: tuple[str, ...]
    settings: Mapping[str, str]
    tests: tuple[str, ...]
    faults: tuple[str, ...]


_TESTS = "company or refused or packed"

SANITIZERS = (
    Sanitizer(
        "address and undefined behaviour",
        ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"),
        ("libasan.so", "libubsan.so", "libstdc++.so.6"),
        # what Python allocates at its start is never freed
        {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"},
        # one level with sums in 32 bits, and those with sums in 16
        (
            f"{NATIVE}/test_sequences.py",
            f"{NATIVE}/test_answers.py",
            "-k",
            f"({_TESTS} or fill) and not avx-vnni",
        ),
        (_ADDRESS, _UNDEFINED),
    ),
    Sanitizer(
        "threads",
        ("-fsanitize=thread",),
        ("libtsan.so",),
        # Python and its libraries are not instrumented: their locks are not seen
        {"TSAN_OPTIONS": "ignore_noninstrumented_modules=1 exitcode=66"},
        (f"{NATIVE}/test_sequences.py", "-k", "company and not avx-vnni"),
        (_THREAD,),
    ),
)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sanitizer with its compiler and its runtimes, in a scratch folder."""

    sanitizer: Sanitizer
    compiler: Path
    preload: str

    def problems(self) -> list[str]:
        """Run everything; return what was reported, and the faults that were not."""
        missed = [fault for fault in self.sanitizer.faults if self._finds_nothing_in(fault)]
        if missed:
            return [f"a planted fault was not reported:\n{fault}" for fault in missed]
        return [*self._programs(), *self._tests()]

    def _finds_nothing_in(self, fault: str) -> bool:
        folder = self.compiler.parent
        source, library = folder / "fault.c", folder / "fault.so"
        source.write_text(f"#include <pthread.h>\n#include <stdlib.h>\n{fault}", encoding="utf-8")
        subprocess.run([self.compiler, "-shared", "-fPIC", source, "-o", library, "-pthread"], check=True)
        process = self._run([sys.executable, "-P", "-c", _CALL, str(library)], preload=True)
        return process.returncode == 0 or not any(word in process.stderr for word in _REPORTS)

    def _programs(self) -> list[str]:
        """Build and run the programs; each prints some measurement."""
        cpus = sorted(os.sched_getaffinity(0))
        commands = {
            "exchange": ([str(cpus[0]), str(cpus[-1])], "???"),
            "peak": (["0.001", "1", "2"], ""),
        }
        if len(cpus) == 1:
            del commands["exchange"]  # a CPU exchanges nothing with itself
        failed = []
        for name, (arguments, given) in commands.items():
            program = self.compiler.parent / name
            source = str(files("baselines.hardware") / f"{name}.c")
            subprocess.run([self.compiler, "-O3", "-o", program, source, "-lpthread"], check=True)
            process = self._run([str(program), *arguments], given)
            if process.returncode or not process.stdout:
                failed.append(f"{name}: exit code {process.returncode}\n{process.stderr}")
        return failed

    def _tests(self) -> list[str]:
        command = [sys.executable, "-P", "-m", "pytest", *_OPTIONS, *self.sanitizer.tests]
        process = self._run(command, preload=True)
        output = process.stdout + process.stderr
        if process.returncode or " passed" not in output:
            return [f"exit code {process.returncode}\n{output}"]
        print(f"{self.sanitizer.name}: {output.strip().splitlines()[-1]}", flush=True)  # noqa: T201 -- a program
        return []

    def _run(
        self, command: Sequence[str], given: str = "", *, preload: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, **self.sanitizer.settings, "CC": str(self.compiler)}
        environment |= {"LD_PRELOAD": self.preload} if preload else {}
        return subprocess.run(
            command,
            check=False,
            input=given,
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )


def runtimes(gcc: str, names: Sequence[str]) -> list[str] | str:
    """Return the paths of a compiler's runtimes, or the name of the first that it lacks."""
    paths = []
    for name in names:
        path = subprocess.run(
            [gcc, f"-print-file-name={name}"], check=False, capture_output=True, text=True
        ).stdout.strip()
        if not Path(path).is_absolute() or not Path(path).exists():
            return name
        paths.append(path)
    return paths


def check(sanitizer: Sanitizer, gcc: str, folder: Path) -> tuple[list[str], str]:
    """Return the problems that a sanitizer reports, and why it did not run if so."""
    paths = runtimes(gcc, sanitizer.runtimes)
    if isinstance(paths, str):
        return [], f"{gcc} has no {paths}"
    folder.mkdir()
    compiler = folder / "cc"
    options = shlex.join([*sanitizer.options, "-fno-omit-frame-pointer", "-g1", "-O1"])
    compiler.write_text(f'#!/bin/sh\nexec {shlex.quote(gcc)} "$@" {options}\n', encoding="utf-8")
    compiler.chmod(0o755)
    return Sandbox(sanitizer, compiler, " ".join(paths)).problems(), ""


def main(sanitizers: Sequence[Sanitizer] = SANITIZERS) -> int:
    """Run every sanitizer, side by side; print what each reports."""
    gcc = shutil.which("gcc")
    if gcc is None:
        print("The sanitizers did not run: there is no gcc on PATH.")  # noqa: T201 -- a program of its own
        return 0
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor() as pool:
        folders = [Path(scratch) / str(index) for index in range(len(sanitizers))]
        results = list(pool.map(check, sanitizers, [gcc] * len(sanitizers), folders))
    for sanitizer, (problems, reason) in zip(sanitizers, results, strict=True):
        if reason:
            print(f"{sanitizer.name}: did not run: {reason}.")  # noqa: T201 -- as above
        for problem in problems:
            print(f"{sanitizer.name}: {problem}")  # noqa: T201 -- as above
    return int(any(problems for problems, _ in results))


if __name__ == "__main__":
    sys.exit(main())
