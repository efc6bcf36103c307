"""What a worker does when asked: prepare a variant, or open one and answer visits with it.

The same session runs inside a worker process and, in tests, inside the test's own process.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.catalog import Catalog
from harness.common.errors import UsageError
from harness.measurement.energy.meter import Meter
from harness.measurement.energy.selection import open_meter
from harness.measurement.timing.loop import loop_ns_per_request
from harness.measurement.timing.server_loop import wake_sharply
from harness.runs.worker.candidates import measure_candidates
from harness.runs.worker.environment import in_force
from harness.runs.worker.handshake import introduction
from harness.runs.worker.loaded_system import Clocks, LoadedSystem, VisitOrder
from harness.runs.worker.process_boundary import Files, Instruments, split_rows
from harness.runs.worker.process_command import program_of
from harness.systems.artifact_cache import ArtifactCache
from harness.systems.encoding_cache import EncodingCache
from harness.systems.interface import (
    Artifact,
    Checkpoint,
    EnergyProbe,
    Placement,
    PreparationContext,
    PreparationSources,
    ProfiledSystem,
    Settings,
)
from harness.workload.data import Data, Split, load_split
from harness.workload.scenarios import get_scenario
from harness.workload.tasks import TaskReference, resolve_task
from harness.workload.tasks.base import Task, split_path

CHUNK = 256
"""Examples encoded at once in the untimed pass, to bound memory."""


class Session:
    """Handles the messages of one worker."""

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        progress: Callable[[str], None],
        clocks: Clocks | None = None,
        open_meter: Callable[[Mapping[str, Any]], Meter] = open_meter,
    ) -> None:
        self._catalog = catalog
        self._progress = progress
        self._clocks = clocks or Clocks()
        self._open_meter = open_meter
        self._opened: LoadedSystem | None = None
        self._files: Files | None = None
        self._shelf: EncodingCache | None = None

    def handle(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Do what the message asks and return the answer; any error is the caller's to report."""
        actions: dict[str, Callable[..., dict[str, Any]]] = {
            "resolve": self.resolve,
            "prepare": self.prepare,
            "open": self.open,
            "warm": self.warm,
            "visit": self.visit,
            "complete": self.complete,
            "profile": self.profile,
            "close": self.close,
        }
        if message["do"] == "hello":
            return introduction(actions, {"visit": VisitOrder})
        words = dict(message)
        return actions[words.pop("do")](**words)

    def resolve(self, task: TaskReference, model: str, cache: str) -> dict[str, Any]:
        """Find the checkpoint a model's name means for a task."""
        found = self._catalog().resolve(model, resolve_task(task), ArtifactCache(Path(cache)))
        return {**dataclasses.asdict(found), "folder": str(found.folder)}

    def prepare(
        self,
        task: TaskReference,
        variant: str,
        checkpoint: Mapping[str, Any],
        trial: Mapping[str, Any],
        settings: Mapping[str, Any],
        placement: Mapping[str, Any],
        cache: str,
        rung: Mapping[str, Any] | None = None,
        meter: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Make a variant's artifact, or find it in the cache."""
        folder, asked = ArtifactCache(Path(cache)), resolve_task(task)
        workshop = PreparationContext(
            cache=folder,
            progress=self._progress,
            measure=lambda systems, examples: measure_candidates(systems, examples, self._clocks.wall),
            placement=_placement(placement),
            energy=_energy(self._open_meter(meter)) if meter else None,
        )
        sources = _sources(self._catalog(), _checkpoint(checkpoint), asked, trial, folder)
        begin = self._clocks.wall()
        made = self._catalog().variant(variant, rung)
        artifact = made.prepare(asked, sources, Settings(**settings), workshop)
        return {
            "folder": str(artifact.folder),
            "key": artifact.key,
            "manifest": dict(artifact.manifest),
            "fresh": artifact.fresh,
            "seconds": (self._clocks.wall() - begin) / 1e9,
        }

    def open(
        self,
        task: TaskReference,
        variant: str,
        scenario: str,
        boundary: str,
        data: Mapping[str, Any],
        artifact: Mapping[str, Any],
        settings: Mapping[str, Any],
        placement: Mapping[str, Any],
        meter: Mapping[str, Any] | None,
        cache: str,
        sample: Sequence[int],
        rung: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Load the system and encode the sample; say how long loading took and what the engine made of it."""
        asked = resolve_task(task)
        split = load_split(asked, Data(data["tier"], Path(data["folder"])), data["split"])
        if split.fingerprint != data["fingerprint"]:
            raise UsageError("the data changed since the run was planned.", where=data["split"])
        energy = self._open_meter(meter) if meter else None
        counters = self._clocks.counters()  # before anything starts a thread or a process that is to count
        if boundary == "process":
            program = {"task": task, "split": split.name, "variant": variant, "artifact": artifact}
            self._files = Files(
                split_rows(split, Path(data["folder"])),
                program_of({**program, "settings": settings, "placement": placement}),
                Instruments(self._clocks.wall, self._clocks.cpu, energy, counters),
            )
            cost = loop_ns_per_request(self._clocks.wall)
            return {**self._files.describe(), "loop_ns_per_request": cost, "counters": counters.said}
        made = Artifact(Path(artifact["folder"]), artifact["key"], artifact["manifest"])
        begin = self._clocks.wall()
        variant_made = self._catalog().variant(variant, rung)
        system = variant_made.load(asked, made, _placement(placement), Settings(**settings))
        load_ns = self._clocks.wall() - begin
        arrives = get_scenario(scenario)
        if arrives.timed_arrivals:
            wake_sharply()
        self._opened = LoadedSystem(
            *(asked, system, arrives, boundary, split.examples, energy, settings["batch"], counters)
        )
        self._shelf = EncodingCache.of(system, ArtifactCache(Path(cache)), split)
        self._opened.kept = self._shelf.find() if self._shelf else ()
        self._opened.encode(sample)
        return {
            "load_ns": load_ns,
            "effective": {**system.describe(), **_environment(rung or {})},
            "loop_ns_per_request": loop_ns_per_request(self._clocks.wall),
            "counters": counters.said,
        }

    def warm(
        self, indexes: Sequence[int], windows: int, *, exactly: bool = False, first: bool = True
    ) -> dict[str, Any]:
        """Answer the first request under the clock, then windows of requests until the system is warm.

        A program from file to file is started once.
        """
        if self._files:
            return self._files.warm(indexes)
        return self._ready().warm(indexes, windows, self._clocks.wall, exactly=exactly, first=first)

    def visit(self, **order: Any) -> dict[str, Any]:  # noqa: ANN401 -- the fields of `VisitOrder`
        """Time a window over some examples; a program from file to file starts cold, so it has no warm-up."""
        asked = VisitOrder(**order)
        if self._files:
            return self._files.visit(asked.indexes)
        return self._ready().visit(asked, self._clocks)

    def complete(self, indexes: Sequence[int]) -> dict[str, Any]:
        """Answer requests outside the clock; say how many sequences of the whole split were cut."""
        if self._files:
            return self._files.complete(indexes, self._progress)
        opened = self._ready()
        answers: list[str] = []
        for start in range(0, len(indexes), CHUNK):
            chunk = indexes[start : start + CHUNK]
            opened.encode(chunk)
            # the calls of the scenario, so that answers that depend on batch mates are the timed ones
            answers += opened.answers([opened.timed.predict(call) for call in opened.calls(chunk)])
            self._progress(f"{start + len(chunk)}/{len(indexes)}")
        if self._shelf and not opened.kept:
            self._shelf.keep(opened.requests)
        cut = sum(any(part.cut for part in request.sequences) for request in opened.requests.values())
        return {"answers": answers, "truncated": cut}

    def profile(self, indexes: Sequence[int]) -> dict[str, Any]:
        """Answer some examples with the engine's own profiler on; no cell fails for want of one."""
        system: Any = self._opened.system if self._opened else None
        if not isinstance(system, ProfiledSystem):
            return {"unavailable": "its engine has no profiler here"}
        opened = self._ready()
        opened.encode(indexes)
        try:
            seconds = system.profile([opened.requests[index] for index in indexes])
        except Exception as problem:  # noqa: BLE001 -- an engine's own, beside what was asked for
            return {"unavailable": (str(problem).splitlines() or [type(problem).__name__])[0].rstrip(".")}
        return {"seconds": dict(seconds), "requests": len(indexes)}

    def close(self) -> dict[str, Any]:
        """Release the system."""
        if self._opened:
            self._opened.system.close()
            self._opened = None
        self._files = None
        return {}

    def _ready(self) -> LoadedSystem:
        if self._opened is None:
            raise UsageError("the worker was asked before it had opened a system.")
        return self._opened


def _environment(rung: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables that a rung asks its process to be started with, as they are."""
    variables = rung.get("environment")
    return {"environment": in_force(variables)} if variables else {}


def _placement(words: Mapping[str, Any]) -> Placement:
    return Placement(**{**words, "cpus": tuple(words["cpus"])})


def _checkpoint(words: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(**{**words, "folder": Path(words["folder"])})


def _sources(
    catalog: Catalog, checkpoint: Checkpoint, task: Task, trial: Mapping[str, Any], cache: ArtifactCache
) -> PreparationSources:
    """Gather what a variant may be prepared from; of the data, the training split and nothing else."""
    train = _training(task, trial)
    if train is None:
        return PreparationSources(checkpoint, resolve=lambda name: catalog.find(name, task, cache))
    return PreparationSources(
        checkpoint,
        train.examples[: trial["limit"]],
        training=lambda: train.examples,
        training_sha256=train.fingerprint,
        reported_sha256=trial.get("reported", ""),
        resolve=lambda name: catalog.find(name, task, cache),
    )


def _energy(meter: Meter) -> EnergyProbe:
    """Return how preparation asks for the joules of a piece of its work."""

    def begin() -> Callable[[], list[dict[str, Any]]]:
        mark = meter.start()
        return lambda: [dataclasses.asdict(reading) for reading in meter.read(mark)]

    return begin


def _training(task: Task, trial: Mapping[str, Any]) -> Split | None:
    """Read the training split, or return None where there is none.

    A diagnostic's is that of the task its model was trained for, which is not what is reported.
    """
    task = task if task.model_task == task.name else resolve_task(task.model_task)
    data = Data(trial["tier"], Path(trial["folder"]))
    if "train" not in task.splits or not (data.folder / split_path(task, "train")).exists():
        return None
    return load_split(task, data, "train")
