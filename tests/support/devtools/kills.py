"""Kills commands at random moments and checks what is left: processes, scratch folders, rounds, records.

    python -m devtools.kills [--kills 200] [--seed 0] [--jobs 1] [--only run,gate]

Each kill starts a command in a store of its own, waits until its target is there and for a random time more,
and sends a signal to the target. Afterwards no process and no scratch folder of the command may be left, no
finished round may be lost, and `bench verify` must pass after `bench run --resume`. The exit code is 1 if
anything was wrong.
"""

import argparse
import collections
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

TOKEN = "BENCH_KILL_TRIAL"
"""The variable that marks every process of a kill."""

PROGRAM = """
import json, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"id": request["id"], "label": request["labels"][0]}), flush=True)
"""
"""A program that answers with the first label, and leaves a child in a session of its own running."""

LADDER = """
name: kills
rungs:
  - {name: one, engine: 'null'}
  - {name: two, like: one, over: one, instances: 2}
"""
SWEEP = "task: [boolq]\nvariants: ['null']\nsweep:\n  seed: [1, 2]\n"

SHORT = ("--profile", "quick", "--limit", "12", "--rounds", "3", "--quality", "sample", "--meter", "none")
TIMED = (*SHORT, "--window", "150ms")

COMMANDS: Mapping[str, Sequence[str]] = {
    "run": ("run", "--variants", "null", *TIMED),
    "program": ("run", "--task", "rte", "--boundary", "text", "--variants", "command", *TIMED),
    "pool": ("run", "--variants", "null", "--instances", "2", *TIMED),
    "sweep": ("run", "--config", "sweep.yaml", *TIMED),
    "ladder": ("ladder", "--ladder", "ladder.yaml", *TIMED),
    "gate": ("gate", "--base", "here", "--head", "here", "--variants", "null", *SHORT),
    "train": ("train", "--model", "embedded", "--max-time", "3s", "--meter", "none", "--output", "trained"),
}
"""The commands that are killed."""

TARGETS: Mapping[str, Sequence[str]] = {
    "run": ("parent", "worker"),
    "program": ("parent", "worker", "program"),
    "pool": ("parent", "worker", "instance"),
    "sweep": ("parent", "worker"),
    "ladder": ("parent", "worker", "instance"),
    "gate": ("parent", "worker"),
    "train": ("parent",),
}
"""The processes of each command that are killed."""

MARKS = {
    "worker": "harness.runs.worker.main",
    "instance": "optimized.parallel.instance_main",
    "program": "echo.py",
}
"""A part of the command line of each target."""

ENDS = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGKILL: -9, signal.SIGSTOP: 0}
"""The signals, and the exit code of a parent that gets one; a stopped one goes on."""

MEASURED = {0, 3, 4, 5, 6}
"""Exit codes of a command that went on: a cell may have failed, and the gate has its own."""

REPORTED = ("Records:", "Trained in", "holds ")
"""What a command prints at its end."""

LATE = ": wall_ns: the record has"
"""What `bench verify` finds where a process did not run between two calls."""

PATIENCE_S, GONE_S, STOPPED_S, LATEST_S = 300.0, 15.0, 0.3, 3.0


@dataclass(frozen=True, slots=True)
class Kill:
    """What is killed, with what, and how long after it has appeared."""

    command: str
    target: str
    signal: signal.Signals
    after_s: float

    def __str__(self) -> str:
        return f"{self.command}, {self.target}, {self.signal.name}, after {self.after_s:.2f} s"


@dataclass(slots=True)
class Trial:
    """One kill in a folder of its own, with the problems that were found."""

    kill: Kill
    root: Path
    cache: Path
    problems: list[str] = field(default_factory=list)

    def run(self) -> list[str]:
        """Kill, check, resume and verify; return the problems."""
        self._write_files()
        sent, code, output, rounds = self._kill()
        if not sent:
            return ["the target never appeared"]
        self._check_end(code, output)
        self._check_left()
        if self.kill.command == "train":
            self._again()
        else:
            self._resume(output, code)
            self._check_rounds(rounds)
            self._verify()
        self._check_left()
        return self.problems

    def _write_files(self) -> None:
        (self.root / "tmp").mkdir(parents=True)
        for name, text in (("echo.py", PROGRAM), ("ladder.yaml", LADDER), ("sweep.yaml", SWEEP)):
            (self.root / name).write_text(text, encoding="utf-8")

    def _start(self, *arguments: str) -> "subprocess.Popen[str]":
        environment = {
            **os.environ,
            "BENCH_STORE": str(self.root / "results"),
            "BENCH_CACHE": str(self.cache),
            "TMPDIR": str(self.root / "tmp"),
            TOKEN: self.root.name,
        }
        words = [sys.executable, "-P", "-c", "from harness.cli import main; main()", *arguments]
        return subprocess.Popen(
            words, env=environment, cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def _bench(self, *arguments: str) -> tuple[int, str]:
        with self._start(*arguments) as process:
            try:
                output, _ = process.communicate(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                self.problems.append(f"`bench {' '.join(arguments)}` hangs")
                return -1, ""
        return process.returncode, output

    def _kill(self) -> tuple[bool, int, str, set[tuple[str, int]]]:
        """Start the command and send the signal; return how it ended, and the finished rounds before."""
        arguments = list(COMMANDS[self.kill.command])
        if self.kill.command == "program":
            arguments += ["--system-command", f"{sys.executable} {self.root / 'echo.py'}"]
        with self._start(*arguments) as process:
            target = self._target(process)
            if target:
                time.sleep(self.kill.after_s)
            rounds = set(self._journal())
            sent = target is not None and self._send(target)
            try:
                output, _ = process.communicate(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.problems.append("the command hangs")
                process.kill()
                output, _ = process.communicate()
        return sent, process.returncode, output, rounds

    def _target(self, process: "subprocess.Popen[str]") -> psutil.Process | None:
        parent, deadline = psutil.Process(process.pid), time.monotonic() + PATIENCE_S
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(psutil.Error, OSError):
                if self.kill.target == "parent" and _handles_signals(parent.pid):
                    return parent
                for child in parent.children(recursive=True) if self.kill.target in MARKS else ():
                    if any(MARKS[self.kill.target] in word for word in child.cmdline()):
                        return child
            time.sleep(0.01)
        return None

    def _send(self, target: psutil.Process) -> bool:
        """Send the signal; a target that has ended meanwhile, as a worker of preparation, was not hit."""
        with suppress(psutil.NoSuchProcess):
            target.send_signal(self.kill.signal)
            if self.kill.signal == signal.SIGSTOP:
                time.sleep(STOPPED_S)
                target.send_signal(signal.SIGCONT)
        return True

    def _check_end(self, code: int, output: str) -> None:
        is_ended = self.kill.target == "parent" and self.kill.signal != signal.SIGSTOP
        is_late = any(word in output for word in REPORTED)  # it had printed its report before
        expected = ({ENDS[self.kill.signal]} if is_ended else set()) | (
            MEASURED if is_late or not is_ended else set()
        )
        if code not in expected:
            self.problems.append(f"exit code {code}: {output[-300:]}")
        if "Traceback" in output or "a bug in bench" in output:
            self.problems.append(f"a traceback or a bug: {output[-1000:]}")

    def _check_left(self) -> None:
        if not _within(GONE_S, lambda: not list(self._processes())):
            self.problems.append(f"processes left: {list(self._processes())}")
            for process in self._processes():
                process.kill()
        if not _within(GONE_S, lambda: not self._scratch()):
            self.problems.append(f"scratch left: {self._scratch()}")

    def _scratch(self) -> list[str]:
        """Return what lies in the folder for temporary files, without the cache of torch's compiler."""
        names = [path.name for path in (self.root / "tmp").iterdir()]
        return [name for name in names if not name.startswith("torchinductor_")]

    def _processes(self) -> Iterator[psutil.Process]:
        mark = f"{TOKEN}={self.root.name}".encode()
        for file in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError, psutil.Error):
                if mark in file.read_bytes().split(b"\0"):
                    process = psutil.Process(int(file.parent.name))
                    if process.status() != psutil.STATUS_ZOMBIE:
                        yield process

    def _journal(self) -> Iterator[tuple[str, int]]:
        """Yield run and index of each finished round of every run that is not sealed."""
        for file in self.root.glob("results/runs/*/journal/rounds.jsonl"):
            with suppress(OSError):
                for line in file.read_text(encoding="utf-8").splitlines():
                    with suppress(ValueError):  # the last line may be torn
                        entry = json.loads(line)
                        if entry["kind"] == "round":
                            yield file.parents[1].name, entry["index"]

    def _resume(self, output: str, code: int) -> None:
        """Finish what is unfinished, or run the command again if nothing had begun."""
        is_unfinished = bool(list(self.root.glob("results/runs/*/journal")))
        if is_unfinished and code in (129, 130, 143) and "--resume" not in output and self._rounds_began():
            self.problems.append(f"no hint how to resume: {output[-300:]}")
        if is_unfinished:
            self._expect(MEASURED, "run", "--resume", "all", "--quiet")
        elif not list(self.root.glob("results/runs/*/*.json")):
            self._again()

    def _rounds_began(self) -> bool:
        return bool(set(self._journal()))

    def _again(self) -> None:
        arguments = list(COMMANDS[self.kill.command])
        if self.kill.command == "program":
            arguments += ["--system-command", f"{sys.executable} {self.root / 'echo.py'}"]
        if self.kill.command == "train" and (self.root / "trained").exists():
            return
        self._expect(MEASURED, *arguments)

    def _check_rounds(self, before: set[tuple[str, int]]) -> None:
        after = {
            (path.parent.name, one["index"])
            for path in self.root.glob("results/runs/*/*.json")
            for one in json.loads(path.read_text(encoding="utf-8"))["rounds"]
        }
        if lost := before - after:
            self.problems.append(f"rounds lost: {sorted(lost)}")

    def _verify(self) -> None:
        """Verify every run; a stopped or crowded process has windows that are longer than their calls."""
        for folder in self.root.glob("results/runs/*"):
            code, output = self._bench("verify", folder.name)
            wrong = re.findall(r"^  no .*\n((?:\s{15}.*\n?)*)", output, re.MULTILINE)
            found = [line for block in wrong for line in block.splitlines() if LATE not in line]
            if (code and not wrong) or found:
                self.problems.append(
                    f"`bench verify {folder.name}` ended with {code}: {found or output[-300:]}"
                )

    def _expect(self, codes: set[int], *arguments: str) -> None:
        code, output = self._bench(*arguments)
        if code not in codes or "Traceback" in output:
            wrong = [
                line for line in output.splitlines() if line.lstrip().startswith(("no ", "NO ", "bench:"))
            ]
            text = " | ".join(wrong) or output[-500:]
            self.problems.append(f"`bench {' '.join(arguments)}` ended with {code}: {text}")


def _handles_signals(pid: int) -> bool:
    """Return whether a process catches SIGTERM: before that Python itself is still starting."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    caught = re.search(r"^SigCgt:\s+(\w+)", status, re.MULTILINE)
    return bool(caught and int(caught[1], 16) & (1 << (signal.SIGTERM - 1)))


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def draw(rng: random.Random, commands: Sequence[str]) -> Kill:
    """Return a random kill."""
    command = rng.choice(commands)
    target, number = rng.choice(TARGETS[command]), rng.choice(list(ENDS))
    return Kill(command, target, number, rng.uniform(0.0, LATEST_S if target != "parent" else 2 * LATEST_S))


def run_kill(kill: Kill, folder: Path, cache: Path) -> list[str]:
    """Run one kill below a folder and return its problems; the folder of one without problems is removed."""
    root = Path(tempfile.mkdtemp(prefix=f"{kill.command}-", dir=folder))
    problems = Trial(kill, root, cache).run()
    if not problems:
        shutil.rmtree(root, ignore_errors=True)
    return problems


def main() -> int:
    """Kill as often as requested, and print the counts and the problems."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", default=",".join(COMMANDS))
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGHUP):  # `nohup` and `&` ignore them, and children inherit that
        signal.signal(number, signal.SIG_DFL)
    rng = random.Random(options.seed)
    kills = [draw(rng, options.only.split(",")) for _ in range(options.kills)]
    counts: collections.Counter[tuple[str, str, str]] = collections.Counter()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch, ThreadPoolExecutor(options.jobs) as pool:
        folder, cache = Path(scratch), Path(scratch) / "cache"
        for kill, problems in zip(
            kills, pool.map(lambda one: run_kill(one, folder, cache), kills), strict=True
        ):
            counts[kill.command, kill.target, kill.signal.name] += 1
            failed += bool(problems)
            print(f"{kill}: {'failed' if problems else 'ok'}", file=sys.stderr)  # noqa: T201 -- as below
            for problem in problems:
                print(f"{kill}: {problem}", flush=True)  # noqa: T201 -- a program of its own
    for (command, target, name), count in sorted(counts.items()):
        print(f"{command:<8} {target:<9} {name:<8} {count}")  # noqa: T201 -- a program of its own
    print(f"{len(kills)} kills, {failed} with problems")  # noqa: T201 -- a program of its own
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
