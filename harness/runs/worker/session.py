"""What a worker does for each message: prepare a variant, or load one and answer visits with it.

JSON --from_json--> request --Session--> answer --to_json--> JSON

The same session runs inside a worker process and, in tests, inside the test's own process.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from harness.catalog import Catalog
from harness.common.errors import UsageError
from harness.common.json_codec import from_json, to_json
from harness.common.json_types import JsonObject, JsonValue
from harness.measurement.energy.meter import Meter
from harness.measurement.energy.selection import open_meter
from harness.measurement.timing.loop import loop_ns_per_request
from harness.measurement.timing.server_loop import wake_sharply
from harness.records.journal_entries import OperatorTimes, VisitResult, WarmResult
from harness.runs.calibration import calibrate
from harness.runs.server_instruments import instruments_of, memory_of, meter_facts, release_instruments
from harness.runs.worker.candidates import measure_candidates
from harness.runs.worker.environment import in_force
from harness.runs.worker.handshake import introduction
from harness.runs.worker.loaded_system import Clocks, LoadedSystem, text_losses
from harness.runs.worker.messages import (
    REQUESTS,
    CalibrateRequest,
    Closed,
    CloseRequest,
    CompleteRequest,
    CompleteResult,
    HelloRequest,
    Introduction,
    OpenRequest,
    OpenResult,
    PreparedArtifact,
    PrepareRequest,
    ProfileRequest,
    ResolveRequest,
    TrainingData,
    VisitRequest,
    WarmRequest,
)
from harness.runs.worker.process_boundary import Files, Instruments, split_rows
from harness.runs.worker.process_command import program_of
from harness.runs.worker.process_program import ProgramSpec
from harness.systems.artifact_cache import ArtifactCache
from harness.systems.encoding_cache import EncodingCache
from harness.systems.interface import (
    LIBRARY_ONLY,
    Checkpoint,
    EnergyProbe,
    Placement,
    PreparationContext,
    PreparationSources,
    ProfiledSystem,
    Readings,
)
from harness.systems.server import ServerDefinition, is_server, server_of
from harness.workload.data import Data, Split, load_split
from harness.workload.scenarios import get_scenario
from harness.workload.tasks import resolve_task
from harness.workload.tasks.base import Task, split_path
from harness.workload.tasks.example import Example, text_hashes
from harness.workload.tasks.multi_label import ThresholdCalibration

CHUNK = 256
"""Examples encoded at once in the untimed pass, to bound memory."""

_TOKENIZER = "tokenizer"
"""The field of a manifest that holds why the library encodes in place of a faster tokenizer."""


class Session:
    """Handles the messages of one worker."""

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        progress: Callable[[str], None],
        clocks: Clocks | None = None,
        open_meter: Callable[[Mapping[str, JsonValue]], Meter] = open_meter,
    ) -> None:
        self._catalog = catalog
        self._progress = progress
        self._clocks = clocks or Clocks()
        self._open_meter = open_meter
        self._loaded: LoadedSystem | None = None
        self._files: Files | None = None
        self._encodings: EncodingCache | None = None
        self._server: ServerDefinition | None = None
        self.subject = ""
        """The system that messages are about, or the model whose checkpoint is looked for."""

    def handle(self, message: Mapping[str, JsonValue]) -> JsonObject:
        """Do what the message requests and return the answer; the caller reports any error."""
        fields = dict(message)
        action = fields.pop("do")
        self.subject = str(fields.get("variant") or fields.get("model") or self.subject)
        # hello is answered with unknown fields, too: the parent may be of another version
        request = from_json(REQUESTS[action], fields, strict=action != HelloRequest.action)
        return to_json(getattr(self, action)(request))

    def hello(self, request: HelloRequest) -> Introduction:
        """Return what this worker is; the parent compares the versions of the protocol."""
        del request
        return introduction()

    def resolve(self, request: ResolveRequest) -> Checkpoint:
        """Find the checkpoint that a model's name means for a task."""
        task, cache = resolve_task(request.task), ArtifactCache(Path(request.cache))
        return self._catalog().resolve(request.model, task, cache)

    def prepare(self, request: PrepareRequest) -> PreparedArtifact:
        """Make a variant's artifact, or find it in the cache."""
        cache, task = ArtifactCache(Path(request.cache)), resolve_task(request.task)
        context = self._context(cache, request.placement, request.meter)
        sources = _sources(self._catalog(), request.checkpoint, task, request.trial, cache)
        catalog = self._catalog()
        variant = catalog.variant(request.variant, request.rung)
        check: JsonObject = {}
        if getattr(variant, "reads_checkpoint", True):
            check = catalog.check(task, sources, request.settings, context)
        begin_ns = self._clocks.wall()
        artifact = variant.prepare(task, sources, request.settings, context)
        seconds = (self._clocks.wall() - begin_ns) / 1e9
        manifest = {
            **artifact.manifest,
            **check,
            **self._tokenizer_fact(request, artifact.folder, task, cache),
        }
        return PreparedArtifact(artifact.folder, artifact.key, manifest, artifact.fresh, seconds)

    def _tokenizer_fact(
        self, request: PrepareRequest, folder: Path, task: Task, cache: ArtifactCache
    ) -> JsonObject:
        """Return why the reported texts need the library's tokenizer, if they do: a fact of the manifest."""
        trial = request.trial
        if not trial.split:
            return {}

        def examples() -> Sequence[Example]:
            return load_split(task, Data(trial.tier, Path(trial.folder)), trial.split).examples

        length = request.settings.max_length
        reason = self._catalog().needs_library(task, folder, examples, length, cache, trial.reported)
        return {_TOKENIZER: f"the library, because {reason}"} if reason else {}

    def calibrate(self, request: CalibrateRequest) -> ThresholdCalibration:
        """Choose the threshold of a multi-label task."""
        cache, task = ArtifactCache(Path(request.cache)), resolve_task(request.task)
        context = self._context(cache, request.placement)
        sources = _sources(self._catalog(), request.checkpoint, task, request.training, cache)
        return calibrate(task, self._catalog(), sources, request.settings, context)

    def _context(
        self, cache: ArtifactCache, placement: Placement, meter: JsonObject | None = None
    ) -> PreparationContext:
        return PreparationContext(
            cache=cache,
            progress=self._progress,
            measure=lambda systems, examples: measure_candidates(systems, examples, self._clocks.wall),
            placement=placement,
            energy=_energy_probe(self._open_meter(meter)) if meter else None,
        )

    def open(self, request: OpenRequest) -> OpenResult:
        """Load the system and encode the sample; return how long loading took and the effective settings."""
        task, folder = resolve_task(request.task), Path(request.data.folder)
        split = load_split(task, Data(request.data.tier, folder), request.data.split)
        if split.fingerprint != request.data.fingerprint:
            raise UsageError("the data changed since the run was planned.", where=request.data.split)
        meter = self._open_meter(request.meter) if request.meter else None
        counters = self._clocks.counters()  # before anything starts a thread or a process that is to count
        if is_server(request.rung):
            self._server = server_of(request.rung)
            meter, counters = instruments_of(self._server, meter, counters)
        instruments = Instruments(self._clocks.wall, self._clocks.cpu, meter, counters)
        if (
            _TOKENIZER in request.artifact.manifest
        ):  # reaches the instances and the program that start from here
            os.environ[LIBRARY_ONLY] = "library"
        if request.boundary == "process":
            return self._open_program(request, split, instruments)
        return self._open_system(request, task, split, instruments)

    def _open_program(self, request: OpenRequest, split: Split, instruments: Instruments) -> OpenResult:
        program = program_of(
            ProgramSpec(
                task=request.task,
                split=split.name,
                variant=request.variant,
                artifact=request.artifact,
                settings=request.settings,
                placement=request.placement,
            )
        )
        self._files = Files(split_rows(split, Path(request.data.folder)), program, instruments)
        return OpenResult(
            effective=self._files.effective(),
            loop_ns_per_request=loop_ns_per_request(self._clocks.wall),
            counters=instruments.counters.said,
        )

    def _open_system(
        self, request: OpenRequest, task: Task, split: Split, instruments: Instruments
    ) -> OpenResult:
        begin_ns = self._clocks.wall()
        variant = self._catalog().variant(request.variant, request.rung)
        system = variant.load(task, request.artifact, request.placement, request.settings)
        load_ns = self._clocks.wall() - begin_ns
        scenario = get_scenario(request.scenario)
        if scenario.timed_arrivals:
            wake_sharply()
        self._encodings = EncodingCache.of(system, ArtifactCache(Path(request.cache)), split)
        self._loaded = LoadedSystem(
            task=task,
            system=system,
            scenario=scenario,
            boundary=request.boundary,
            examples=split.examples,
            meter=instruments.meter,
            batch=request.settings.batch,
            counters=instruments.counters,
            cached=self._encodings.find() if self._encodings else (),
        )
        self._loaded.encode(request.sample)
        return OpenResult(
            load_ns=load_ns if self._server is None or self._server.command else None,
            effective={
                **system.describe(),
                **_environment(request.rung),
                **meter_facts(self._server, instruments.meter),
            },
            loop_ns_per_request=loop_ns_per_request(self._clocks.wall),
            counters=instruments.counters.said,
        )

    def warm(self, request: WarmRequest) -> WarmResult:
        """Answer the first request under the clock, then windows of requests until the system is warm.

        A program from file to file is started once.
        """
        if self._files:
            return self._files.warm(request.indexes)
        return self._ready().warm(request, self._clocks.wall)

    def visit(self, request: VisitRequest) -> VisitResult:
        """Time a window over some examples; a program from file to file starts cold, without warm-up."""
        if self._files:
            return self._files.visit(request.indexes)
        return self._ready().visit(request, self._clocks)

    def complete(self, request: CompleteRequest) -> CompleteResult:
        """Answer examples outside the clock, and count how many of the whole split were cut."""
        if self._files:
            return self._files.complete(request.indexes, self._progress)
        loaded, indexes = self._ready(), request.indexes
        loaded.refresh()
        answers: list[str] = []
        for start in range(0, len(indexes), CHUNK):
            chunk = indexes[start : start + CHUNK]
            loaded.encode(chunk)
            # the calls of the scenario, so that answers that depend on batch mates are the timed ones
            answers += loaded.answers([loaded.timed.predict(call) for call in loaded.calls(chunk)])
            self._progress(f"{start + len(chunk)}/{len(indexes)}")
        if self._encodings and not loaded.cached:
            self._encodings.keep(loaded.requests)
        encoded = loaded.requests.values()
        cut = sum(any(part.cut for part in request.sequences) for request in encoded)
        memory = memory_of(self._server) if self._server else None
        return CompleteResult(answers, cut, memory, losses=text_losses(encoded))

    def profile(self, request: ProfileRequest) -> OperatorTimes:
        """Answer some examples with the engine's own profiler on; no cell fails for want of one."""
        loaded = self._loaded
        if loaded is None or not isinstance(loaded.system, ProfiledSystem):
            return OperatorTimes(unavailable="its engine has no profiler here")
        loaded.encode(request.indexes)
        try:
            seconds = loaded.system.profile([loaded.requests[index] for index in request.indexes])
        except Exception as problem:  # noqa: BLE001 -- an engine's own, beside the measurement
            reason = (str(problem).splitlines() or [type(problem).__name__])[0].rstrip(".")
            return OperatorTimes(unavailable=reason)
        return OperatorTimes(seconds=dict(seconds), requests=len(request.indexes))

    def close(self, request: CloseRequest) -> Closed:
        """Release the system."""
        del request
        if self._loaded:
            self._loaded.system.close()
            self._loaded = None
        if self._server:
            release_instruments()
        self._files = self._server = None
        return Closed()

    def _ready(self) -> LoadedSystem:
        if self._loaded is None:
            raise UsageError("the worker has not opened a system yet.")
        return self._loaded


def _environment(rung: Mapping[str, JsonValue] | None) -> JsonObject:
    """Return the variables that a rung starts its process with, as this process has them."""
    variables = (rung or {}).get("environment")
    return {"environment": in_force(variables)} if variables else {}


def _sources(
    catalog: Catalog, checkpoint: Checkpoint, task: Task, trial: TrainingData, cache: ArtifactCache
) -> PreparationSources:
    """Gather what a variant may be prepared from; of the data, the training split and nothing else."""
    train = _training_split(task, trial)
    if train is None:
        return PreparationSources(checkpoint, resolve=lambda name: catalog.find(name, task, cache))
    return PreparationSources(
        checkpoint,
        train.examples[: trial.limit],
        training=lambda: train.examples,
        training_sha256=train.fingerprint,
        reported_sha256=trial.reported,
        reported_texts=lambda: _reported_texts(task, trial),
        resolve=lambda name: catalog.find(name, task, cache),
    )


def _reported_texts(task: Task, trial: TrainingData) -> frozenset[str]:
    """Return the hashes of the reported split's texts; of the split nothing else reaches preparation."""
    if not trial.split:
        return frozenset()
    examples = load_split(task, Data(trial.tier, Path(trial.folder)), trial.split).examples
    return frozenset().union(*map(text_hashes, examples))


def _energy_probe(meter: Meter) -> EnergyProbe:
    """Return what reads the joules of a piece of preparation."""

    def begin() -> Callable[[], Readings]:
        mark = meter.start()
        return lambda: [asdict(reading) for reading in meter.read(mark)]

    return begin


def _training_split(task: Task, trial: TrainingData) -> Split | None:
    """Read the training split; None where there is none.

    That of a diagnostic is the one of the task whose model it uses.
    """
    task = task if task.model_task == task.name else resolve_task(task.model_task)
    data = Data(trial.tier, Path(trial.folder))
    if "train" not in task.splits or not (data.folder / split_path(task, "train")).exists():
        return None
    return load_split(task, data, "train")
