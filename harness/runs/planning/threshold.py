"""The threshold of a multi-label task that the user asks to have calibrated: it is part of the plan."""

from dataclasses import asdict, replace
from pathlib import Path

from harness.common.json_types import JsonObject
from harness.common.progress import ProgressReporter
from harness.records.plan import ModelPlan
from harness.runs.planning.options import RunOptions
from harness.runs.services import Machine
from harness.runs.worker.messages import CalibrateRequest, TrainingData
from harness.systems.interface import Placement, Settings
from harness.workload.data import Split
from harness.workload.data.user.task_files import TaskData
from harness.workload.tasks.custom import custom_task

_TIMED = 1
"""Training examples for timing candidates; calibration times nothing."""


def with_threshold(
    task_data: TaskData,
    split: Split,
    model: ModelPlan,
    options: RunOptions,
    cache: Path,
    machine: Machine,
    narrator: ProgressReporter,
) -> TaskData:
    """Return the task with a threshold calibrated for the model; unchanged where none is to be calibrated.

    One threshold holds for all systems of the run. The task's facts, and so every record, have the threshold
    and what it was chosen from.
    """
    if task_data.definition is None or not task_data.calibrates:
        return task_data
    cpus = tuple(machine.cpus())[: options.threads]
    training = TrainingData(task_data.data.tier, str(task_data.data.folder), _TIMED, split.fingerprint)
    request = CalibrateRequest(
        task=task_data.words,
        checkpoint=model.checkpoint(),
        training=training,
        settings=Settings(max_length=options.max_length),
        placement=Placement(options.device, cpus, len(cpus)),
        cache=str(cache),
    )
    narrator.stage("calibrate", 1)
    worker = machine.launch(cpus, len(cpus))
    try:
        calibration = worker.send(request, narrator.detail)
    finally:
        worker.end()
    narrator.step()
    facts: JsonObject = {
        **(task_data.facts or {}),
        "threshold": calibration.threshold,
        "threshold_calibration": {"split": "train, held out", **asdict(calibration)},
    }
    definition = replace(task_data.definition, threshold=calibration.threshold)
    task = custom_task(definition)
    return replace(task_data, task=task, definition=definition, facts=facts, calibrates=False)
