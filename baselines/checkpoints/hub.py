"""Checkpoints by hub name: the one place where this package may use the network, and only when asked by name.

A name that is already in the hub's local cache needs no network. Everything fails at once with what to do:
nothing retries for minutes.
"""

from pathlib import Path

from harness.common.errors import CheckpointError

# seconds for one question to the hub before the local copy is used, or the user told
_PATIENCE = 10.0
# never a pickle: only configuration, vocabularies and safetensors come down
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model"]


def download(name: str) -> Path:
    """Return the folder of a hub checkpoint, from the local copy where there is no network."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return _fetch(name)
    except GatedRepoError:
        raise CheckpointError(
            "the hub asks for a login and an accepted licence.",
            where=name,
            remedy="Accept it on the model's page, then: hf auth login",
        ) from None
    except RepositoryNotFoundError:
        raise CheckpointError(
            "there is no folder, no model of ours and no hub model of this name.",
            where=name,
            remedy="Use embedded, minilm, a checkpoint folder (./name), or a hub name.",
        ) from None


def _fetch(name: str) -> Path:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    api = HfApi()
    try:
        # a plain question first: unlike a download it is never retried
        found = api.model_info(name, timeout=_PATIENCE)
    except RepositoryNotFoundError:
        raise
    except Exception as problem:  # noqa: BLE001 -- offline, proxy, DNS, time-out: each client has its own tree
        return _local_copy(name, _first_line(problem))
    _require_safetensors(name, {sibling.rfilename for sibling in found.siblings or ()})
    try:
        folder = api.snapshot_download(
            name, revision=found.sha, allow_patterns=_WANTED, ignore_patterns="*/*"
        )
    except Exception as problem:
        raise CheckpointError(
            f"the download stopped ({_first_line(problem)}).",
            where=name,
            remedy="Ask again: what has arrived is kept.",
        ) from problem
    return Path(folder)


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]


def _require_safetensors(name: str, files: set[str]) -> None:
    if files & {"model.safetensors", "model.safetensors.index.json"}:
        return
    pickled = sorted(file for file in files if file.endswith((".bin", ".pt", ".pth", ".ckpt")))
    raise CheckpointError(
        f"the hub holds no model.safetensors for it{f', only {pickled[0]}, a pickle' if pickled else ''}.",
        where=name,
        remedy="Take another model, or download the folder, convert it to safetensors, and name the folder.",
    )


def _local_copy(name: str, problem: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        raise CheckpointError(
            f"it is no folder here, and the model hub cannot be asked for it ({problem}).",
            where=name,
            remedy="Use embedded, minilm or a folder, or allow the network (unset HF_HUB_OFFLINE).",
        ) from None
