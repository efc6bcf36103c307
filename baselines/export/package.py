"""Export of a prepared variant as a folder that runs without this project.

    artifact --copy--> scratch folder --serve.py answers as the system does--> renamed to the output

The checks run the folder's script in an interpreter of its own: it answers examples as the system does, and
then `serve.py --check` finds all as it should be. If one fails, no output is left.
"""

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import library_versions
from baselines.checkpoints.folder import TOKENIZER, file_sha256, read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import SEQUENCES_AT_ONCE
from baselines.export.documentation import OPTIMUM_NOTES, CheckResult, licences, readme
from baselines.export.engines import EngineFiles
from baselines.export.licences import find_licences
from baselines.export.optimum import optimum_files
from baselines.export.servers import server_files
from baselines.export.verify import TOLERANCE, AnswerComparison, run_check, run_script, to_request
from harness.common.errors import StoreError, UsageError
from harness.systems.interface import Artifact, Checkpoint, Placement, Progress, Settings, Variant
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from harness.workload.tasks.multi_label import MultiLabelTask

_LIBRARIES = ("numpy", "tokenizers")
_HTTP_REQUIREMENTS = "starlette>=0.40,<2\nuvicorn>=0.30,<1\n"
_FORMAT = 2


@dataclass(frozen=True, slots=True)
class ExportedVariant:
    """The variant to export, its engine's files, and the examples of the check.

    `text` is the folder with config.json and tokenizer.json. `examples` and `repeatable` are answered by the
    script and by the system; `repeatable` and the answers are in the folder, so they must not be text from a
    data set, and the first is in README.md. The benchmark runs `instances` processes. `provenance` holds the
    caller's fields of the manifest, `data` a sentence on the terms of the data. `server` is the model server
    that the folder is made for, too, or empty.
    """

    variant: Variant
    artifact: Artifact
    engine: EngineFiles
    text: Path
    task: Task
    settings: Settings
    placement: Placement
    checkpoint: Checkpoint
    examples: Sequence[Example]
    repeatable: Sequence[Example]
    instances: int
    provenance: Mapping[str, Any]
    data: str
    server: str = ""

    @property
    def in_optimum(self) -> bool:
        """Whether `optimum` can load the folder: its classes have no input for spans."""
        return self.engine.loads_in_optimum and self.task.head != "span"


def export_package(exported: ExportedVariant, output: Path, progress: Progress) -> dict[str, Any]:
    """Write the folder and return its manifest.

    CheckpointError if the script does not answer as the system does; StoreError if the folder cannot be
    written, or has been created meanwhile.
    """
    with _all_or_nothing(output) as folder:
        progress("copying the model")
        settings = _write_model(exported, folder)
        progress("checking the script's answers")
        effective, result = _check(exported, folder)
        notes = _write_server(exported, folder, settings, output.name)
        manifest = _write_pages(exported, folder, settings, effective, result, notes)
        run_check(folder)
        return manifest


def require_free(output: Path) -> None:
    """Raise UsageError if the output exists and is not an empty folder, StoreError if it cannot be made."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(
            "the output exists already and is not an empty folder.",
            where=str(output),
            remedy="Give a new folder.",
        )
    parent = next(folder for folder in output.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise StoreError(
            "cannot create a folder here.", where=str(parent), remedy="Give another folder with --output."
        )


def _write_model(exported: ExportedVariant, folder: Path) -> dict[str, Any]:
    """Write all files but the pages; return the settings."""
    engine, text = exported.engine, exported.repeatable[0].inputs[0]
    contents = {**engine.files, TOKENIZER: exported.text / TOKENIZER}
    if exported.in_optimum:
        contents |= optimum_files(exported.text, exported.settings.max_length)
    for name, content in contents.items():
        _write_file(folder / name, content)
    config, libraries = read_config(exported.text), library_versions(*_LIBRARIES, *engine.libraries)
    settings = {
        "format": _FORMAT,
        "task": exported.task.name,
        "head": exported.task.head,
        "labels": list(exported.task.labels),
        "columns": label_columns(config, exported.task, exported.checkpoint.name),
        **({"threshold": exported.task.threshold} if isinstance(exported.task, MultiLabelTask) else {}),
        "pair": text.second is not None,
        "spans": len(text.spans),
        "max_length": exported.settings.max_length,
        "truncate": text.truncate,
        "pad_id": int(config.get("pad_token_id") or 0),
        "threads": exported.placement.threads,
        "sequences_at_once": SEQUENCES_AT_ONCE,
        **engine.settings,
        "libraries": {"python": platform.python_version(), **libraries},
    }
    _write(folder / "settings.json", _json(settings))
    requirements = "".join(f"{name}=={version}\n" for name, version in libraries.items())
    _write(folder / "requirements.txt", requirements)
    _write(folder / "requirements-http.txt", _HTTP_REQUIREMENTS)
    _write(folder / "engine.py", engine.module)
    for name in ("serve.py", "serve_http.py"):
        _write(folder / name, files("baselines.export").joinpath(name).read_text(encoding="utf-8"))
    return settings


def _write_server(exported: ExportedVariant, folder: Path, settings: Mapping[str, Any], name: str) -> str:
    """Write what a model server loads, if one was named; return its section of the README."""
    if not exported.server:
        return ""
    made = server_files(exported.server, settings, name)
    for file, content in made.files.items():
        _write_file(folder / file, content)
    return made.notes


def _check(exported: ExportedVariant, folder: Path) -> tuple[dict[str, Any], CheckResult]:
    """Return the system's description and the result of the check; CheckpointError if the answers differ."""
    repeatable = len(exported.repeatable)
    examples = [*exported.repeatable, *exported.examples]
    system = exported.variant.load(exported.task, exported.artifact, exported.placement, exported.settings)
    try:
        expected = [system.predict(system.encode([example])).logits for example in examples]
        effective = dict(system.describe())
    finally:
        system.close()
    requests = [to_request(example) for example in examples]
    answers = run_script(folder, requests)
    largest = max(map(AnswerComparison(exported.task).difference, examples, expected, answers))
    rows = zip(requests[:repeatable], answers, strict=False)
    lines = [json.dumps({"request": request, "answer": answer}) + "\n" for request, answer in rows]
    _write(folder / "check.jsonl", "".join(lines))
    return effective, CheckResult(requests[0], answers[0], len(examples), repeatable, largest)


def _write_pages(
    exported: ExportedVariant,
    folder: Path,
    settings: Mapping[str, Any],
    effective: Mapping[str, Any],
    result: CheckResult,
    server_notes: str,
) -> dict[str, Any]:
    """Write README.md, LICENSES.md and the manifest, which lists all other files; return the manifest."""
    checkpoint = exported.checkpoint
    manifest = {
        **exported.provenance,
        "task": exported.task.name,
        "variant": exported.variant.name,
        "model": {
            "name": checkpoint.name,
            "tier": checkpoint.tier,
            "fingerprint": checkpoint.fingerprint,
            "trained": checkpoint.trained,
            "trained_on": checkpoint.trained_on,
        },
        "artifact": {"key": exported.artifact.key, "manifest": dict(exported.artifact.manifest)},
        "instances": exported.instances,
        **({"server": exported.server} if exported.server else {}),
        "effective": dict(effective),
        "check": {
            "requests": result.examples,
            "repeatable": result.repeatable,
            "equal_answers": True,
            "max_logit_difference": result.difference,
            "bound": TOLERANCE,
        },
    }
    notes = exported.engine.notes + server_notes + (OPTIMUM_NOTES if exported.in_optimum else "")
    _write(folder / "README.md", readme(manifest, settings, result, notes))
    _write(folder / "LICENSES.md", licences(find_licences(checkpoint), exported.data))
    manifest["files"] = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    _write(folder / "manifest.json", _json(manifest))
    return manifest


@contextmanager
def _all_or_nothing(output: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes `output` only if the block ends without an error."""
    parent = next(folder for folder in output.absolute().parents if folder.is_dir())
    try:
        scratch = Path(tempfile.mkdtemp(dir=parent, prefix=f".{output.name}-"))
    except OSError as problem:
        raise _cannot_write(output, problem) from None
    try:
        yield scratch
        scratch.chmod(0o755)
        output.parent.mkdir(parents=True, exist_ok=True)
        os.rename(scratch, output)  # noqa: PTH104 -- Path.rename need not replace an empty folder
    except OSError as problem:
        raise _cannot_write(output, problem) from problem
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_file(path: Path, content: Path | str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"


def _cannot_write(output: Path, problem: OSError) -> StoreError:
    return StoreError(
        f"the output folder cannot be written: {problem.strerror or problem}.",
        where=str(output),
        remedy="Give another folder with --output, or make room and check permissions.",
    )
