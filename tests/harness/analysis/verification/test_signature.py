"""Signatures of runs: who signed which files, and what ssh-keygen alone makes of them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.analysis.verification import signature
from harness.analysis.verification.signature import MANIFEST, NOT_SIGNED, SIGNATURE, check_signature, sign
from harness.common.errors import UsageError

KEYGEN = shutil.which("ssh-keygen")
needs_keygen = pytest.mark.skipif(KEYGEN is None, reason="needs ssh-keygen")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a run of two files."""
    path = tmp_path / "20260101-120000-boolq-0001"
    path.mkdir()
    (path / "cell.json").write_text("{}")
    (path / "cell-0123.npz").write_bytes(b"samples")
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return new_key(tmp_path / "key")


def new_key(path: Path) -> Path:
    subprocess.run([KEYGEN or "", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


def allowed(key: Path, name: str = "alice@example.org", options: str = 'namespaces="bench"') -> Path:
    """Return a list of allowed signers with one key."""
    path = key.with_name("signers")
    path.write_text(f"{name} {options} {key.with_suffix('.pub').read_text()}")
    return path


def test_a_run_without_a_signature_is_anybodys(folder: Path) -> None:
    """It is stated, and is no error."""
    checked = check_signature(folder, None)
    assert (checked.state, checked.text) == ("none", NOT_SIGNED)


@needs_keygen
def test_a_signature_names_its_key_and_the_list_its_owner(folder: Path, key: Path) -> None:
    """The fingerprint is the one that ssh-keygen prints for the key."""
    fingerprint = sign(folder, key)
    listed = subprocess.run(
        [KEYGEN or "", "-l", "-f", key], capture_output=True, text=True, check=True
    ).stdout
    assert fingerprint.removeprefix("ED25519 ") in listed
    nobody, alice = check_signature(folder, None), check_signature(folder, allowed(key))
    assert (nobody.state, nobody.key) == ("unknown", fingerprint)
    assert (alice.state, alice.signer, alice.key) == ("signed", "alice@example.org", fingerprint)


@needs_keygen
def test_the_tools_of_the_system_check_it_too(folder: Path, key: Path) -> None:
    """ssh-keygen and sha256sum, as results/README.md has them."""
    sign(folder, key)
    verify = ["-Y", "verify", "-n", "bench", "-I", "alice@example.org", "-s", SIGNATURE, "-f", allowed(key)]
    with (folder / MANIFEST).open("rb") as manifest:
        subprocess.run([KEYGEN or "", *verify], cwd=folder, stdin=manifest, check=True, capture_output=True)
    if tool := shutil.which("sha256sum"):
        subprocess.run([tool, "-c", MANIFEST], cwd=folder, check=True, capture_output=True)


@needs_keygen
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda folder: (folder / "cell.json").write_text("{ }"), "cell.json was changed"),
        (lambda folder: (folder / "cell.json").unlink(), "cell.json is missing"),
        (lambda folder: (folder / "more.json").write_text("{}"), "more.json was added"),
        (lambda folder: (folder / MANIFEST).write_text(signature.manifest_of(folder) + "\n"), "not one of"),
        (lambda folder: (folder / SIGNATURE).write_text("none"), "not one of"),
    ],
    ids=["changed", "missing", "added", "manifest", "signature"],
)
def test_a_change_after_signing_is_found(folder: Path, key: Path, change: object, text: str) -> None:
    """Of any file of the run, of the manifest, and of the signature itself."""
    sign(folder, key)
    assert callable(change)
    change(folder)
    checked = check_signature(folder, allowed(key))
    assert checked.state == "wrong"
    assert text in checked.text


@needs_keygen
def test_a_key_that_is_not_in_the_list_is_nobodys(folder: Path, key: Path, tmp_path: Path) -> None:
    """Nor is one that the list allows for another purpose only."""
    sign(folder, key)
    other = check_signature(folder, allowed(new_key(tmp_path / "other")))
    assert (other.state, "does not allow" in other.text) == ("unknown", True)
    assert check_signature(folder, allowed(key, options='namespaces="file"')).state == "unknown"


@needs_keygen
def test_a_file_that_is_no_key_cannot_sign(folder: Path, tmp_path: Path) -> None:
    """With ssh-keygen's reason, and nothing is left in the run."""
    with pytest.raises(UsageError, match="the key cannot sign: "):
        sign(folder, tmp_path / "none")
    assert not (folder / MANIFEST).exists()


def test_without_ssh_keygen_it_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signing and requiring a signer are refused; a signature that is there is not checked."""
    monkeypatch.setattr(signature.shutil, "which", lambda _name: None)
    with pytest.raises(UsageError, match="ssh-keygen is not on PATH"):
        sign(folder, folder / "key")
    with pytest.raises(UsageError, match="ssh-keygen is not on PATH"):
        check_signature(folder, folder / "signers")
    (folder / MANIFEST).write_text("")
    (folder / SIGNATURE).write_text("")
    checked = check_signature(folder, None)
    assert checked.state == "unchecked"
    assert "not on PATH" in checked.text
