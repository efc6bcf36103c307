"""Signatures of runs: who vouches for the files of a run, which hashes alone do not show.

    files of a run --manifest--> SHA256SUMS --ssh-keygen -Y sign--> SHA256SUMS.sig
                                     |                                   |
         compared with the files <---+---- ssh-keygen -Y verify <--------+---- allowed signers

Both files have the forms of common tools: `sha256sum -c SHA256SUMS` and ssh-keygen check them without this
program.
"""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.common.errors import StoreError, UsageError
from harness.common.files import write_new

MANIFEST, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
NAMESPACE = "bench"
"""What a signature is for: one that was made for another purpose does not count (ssh-keygen, option -n)."""

KEYGEN = "ssh-keygen"
INSTALL = "Install OpenSSH's client, version 8.2 or later."
TIMEOUT_S = 120
"""A key on a token waits for a touch."""

NOT_SIGNED = "not signed: anybody who can write the files could have made them"
_KEY = re.compile(r"with (\S+) key (\S+)")

State = Literal["none", "signed", "unknown", "wrong", "unchecked"]


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """Who signed a run.

    `state` is `signed` for a signer of the list, `unknown` for another key. `text` has it in words;
    `signer` is the name in the list of allowed signers, `key` the key's fingerprint.
    """

    state: State
    text: str
    signer: str | None = None
    key: str | None = None


def sign(folder: Path, key: Path) -> str:
    """Write the manifest of a run and its signature; return the fingerprint of the key.

    `key` is a private key, or a public one whose private half an agent holds. UsageError without ssh-keygen,
    with a key that cannot sign, or if the run is signed already.
    """
    _require_keygen("--sign")
    for name in (MANIFEST, SIGNATURE):
        if (folder / name).exists():
            raise UsageError(
                f"the run is signed already: {name} exists.",
                where=folder.name,
                remedy=f"Remove {MANIFEST} and {SIGNATURE} to sign it anew.",
            )
    text = manifest_of(folder).encode()
    made = _keygen(["-Y", "sign", "-f", str(key), "-n", NAMESPACE], text)
    if made.returncode or not made.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise UsageError(
            f"the key cannot sign: {_last_line(made.stderr)}.",
            where=str(key),
            remedy="Name a private SSH key, or a public one whose private half an agent holds.",
        )
    try:
        write_new(folder / MANIFEST, text)
        write_new(folder / SIGNATURE, made.stdout)
    except OSError as error:
        raise StoreError(f"the signature cannot be written: {error.strerror}.", where=str(folder)) from None
    return check_signature(folder, None).key or ""


def manifest_of(folder: Path) -> str:
    """Return the sha256 of each file of a run, in the form of sha256sum."""
    return "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in _files(folder)
    )


def check_signature(folder: Path, signers: Path | None) -> SignatureCheck:
    """Return who signed a run; `signers` is a file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS).

    Without such a file a signature has a key and no owner. UsageError if the file is not there, or
    if there is no ssh-keygen to read it.
    """
    if signers is not None:
        _require_keygen("--signers")
        if not signers.is_file():
            raise UsageError("no such file.", where=str(signers), remedy="Name a file of allowed signers.")
    try:
        manifest, _ = (folder / MANIFEST).read_bytes(), (folder / SIGNATURE).read_bytes()
    except OSError:
        return SignatureCheck("none", NOT_SIGNED)
    if shutil.which(KEYGEN) is None:
        return SignatureCheck("unchecked", f"signed, but not checked: {KEYGEN} is not on PATH. {INSTALL}")
    validated = _keygen(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(folder / SIGNATURE)], manifest)
    if validated.returncode:
        return SignatureCheck(
            "wrong", f"the signature is not one of {MANIFEST}: {_last_line(validated.stderr)}"
        )
    if changed := _differences(manifest.decode(errors="replace"), manifest_of(folder)):
        return SignatureCheck("wrong", f"not what was signed: {', '.join(changed)}")
    return _who(folder, manifest, signers, _key_of(validated.stdout))


def _who(folder: Path, manifest: bytes, signers: Path | None, key: str) -> SignatureCheck:
    """Return the name that the list of signers has for the key of a valid signature."""
    if signers is None:
        text = f"signed by the key {key}; --signers FILE tells whose it is"
        return SignatureCheck("unknown", text, key=key)
    options = ["-s", str(folder / SIGNATURE), "-f", str(signers)]
    principals = _keygen(["-Y", "find-principals", *options], b"")
    for name in principals.stdout.decode(errors="replace").splitlines():
        if not _keygen(["-Y", "verify", "-I", name, "-n", NAMESPACE, *options], manifest).returncode:
            return SignatureCheck("signed", f"signed by {name} ({key})", signer=name, key=key)
    return SignatureCheck("unknown", f"signed by the key {key}, which {signers.name} does not allow", key=key)


def _files(folder: Path) -> list[str]:
    """Return the names of all files of a run but its signature; a run is one flat folder."""
    names = (path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return sorted(name for name in names if name not in (MANIFEST, SIGNATURE))


def _differences(signed: str, present: str) -> Sequence[str]:
    """Return what differs between two manifests: changed, missing and added files."""
    before, after = (
        {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines())}
        for text in (signed, present)
    )
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    states = {(True, False): "is missing", (False, True): "was added", (True, True): "was changed"}
    return [f"{name} {states[name in before, name in after]}" for name in names]


def _require_keygen(option: str) -> None:
    if shutil.which(KEYGEN) is None:
        raise UsageError(f"{KEYGEN} is not on PATH.", where=option, remedy=INSTALL)


def _keygen(arguments: Sequence[str], text: bytes) -> "subprocess.CompletedProcess[bytes]":
    """Run ssh-keygen with a text as its input; it asks for a passphrase on the terminal itself."""
    command = [shutil.which(KEYGEN) or KEYGEN, *arguments]
    try:
        return subprocess.run(command, input=text, capture_output=True, check=False, timeout=TIMEOUT_S)  # noqa: S603
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, b"", f"no answer within {TIMEOUT_S} s".encode())


def _key_of(output: bytes) -> str:
    """Return the key that ssh-keygen names: `Good "bench" signature with ED25519 key SHA256:...`."""
    match = _KEY.search(output.decode(errors="replace"))
    return f"{match[1]} {match[2]}" if match else "of an unknown kind"


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else f"{KEYGEN} gave no reason"
