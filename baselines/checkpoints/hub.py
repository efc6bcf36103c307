"""Download of checkpoints from the Hugging Face hub, the only network access of this package.

It happens only when the user gives a hub name as the model. A checkpoint in the hub's local cache needs no
network. Failures are reported at once: nothing is retried for minutes.
"""

from pathlib import Path

from harness.common.errors import CheckpointError

_TIMEOUT_S = 10.0
"""How long the hub may take to answer before the local copy is used."""

# configuration, vocabularies and safetensors only: pickles are never downloaded
_ALLOWED_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]


def download(name: str) -> Path:
    """Return the folder of a hub checkpoint; without network, that of its local copy.

    CheckpointError if the hub has no such model, has no safetensors for it, or needs a login.
    """
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return _fetch(name)
    except GatedRepoError:
        raise CheckpointError(
            "the hub requires a login and an accepted licence for this model.",
            where=name,
            remedy="Accept the licence on the model's page, then run: hf auth login",
        ) from None
    except RepositoryNotFoundError:
        raise CheckpointError(
            "neither a folder, nor a model of this package, nor a model on the hub.",
            where=name,
            remedy="Use embedded, minilm, a checkpoint folder (./name), or a hub name.",
        ) from None


def _fetch(name: str) -> Path:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    api = HfApi()
    try:
        # the model's metadata first: unlike a download, this request is never retried
        metadata = api.model_info(name, timeout=_TIMEOUT_S)
    except RepositoryNotFoundError:
        raise
    except Exception as problem:  # noqa: BLE001 -- offline, proxy, DNS, time-out: no common base class
        return _local_copy(name, _first_line(problem))
    _require_safetensors(name, {sibling.rfilename for sibling in metadata.siblings or ()})
    try:
        folder = api.snapshot_download(
            name, revision=metadata.sha, allow_patterns=_ALLOWED_FILES, ignore_patterns="*/*"
        )
    except Exception as problem:
        raise CheckpointError(
            f"the download stopped ({_first_line(problem)}).",
            where=name,
            remedy="Repeat the command: files that have arrived are kept.",
        ) from problem
    return Path(folder)


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]


def _require_safetensors(name: str, files: set[str]) -> None:
    if files & {"model.safetensors", "model.safetensors.index.json"}:
        return
    pickles = sorted(file for file in files if file.endswith((".bin", ".pt", ".pth", ".ckpt")))
    raise CheckpointError(
        f"the hub has no model.safetensors of it{f', only {pickles[0]}, a pickle' if pickles else ''}.",
        where=name,
        remedy="Use another model, or download it, convert it to safetensors, and give the folder.",
    )


def _local_copy(name: str, reason: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        raise CheckpointError(
            f"not a folder, not in the local cache, and the model hub cannot be reached ({reason}).",
            where=name,
            remedy="Use embedded, minilm or a folder, or allow the network (unset HF_HUB_OFFLINE).",
        ) from None
