import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.common.errors import MeasurementError, UsageError
from harness.measurement.machine.git_revision import revision_of
from harness.records.record import Revision
from harness.studies.versions.refs import (
    SideCode,
    check_clean,
    code_of,
    find_ref,
    run_installer,
    same_dependencies,
)

PROJECT = '[project]\nname = "fastformers-bench"\ndependencies = [{}]\n'


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    completed = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return completed.stdout.strip()


def hold_code(folder: Path) -> None:
    """Write the file by which a folder is recognised as one with the code of this program."""
    worker = folder / "harness" / "runs" / "worker" / "main.py"
    worker.parent.mkdir(parents=True)
    worker.touch()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository of two commits with a worker of ours: `answer.py` holds 1, then 2."""
    root = tmp_path / "project"
    root.mkdir()
    hold_code(root)
    git(root, "init", "--quiet", "--initial-branch", "main")
    for number in (1, 2):
        (root / "answer.py").write_text(f"ANSWER = {number}\n")
        (root / "pyproject.toml").write_text('[project]\nname = "nowhere-installed"\n')
        git(root, "add", "-A")
        git(root, "commit", "--quiet", "-m", str(number))
    return root


def silent(text: str) -> None:
    del text


def test_a_revision_is_named_with_what_has_changed_since(repository: Path) -> None:
    """Twelve digits; dirty once a tracked file differs, not for a file that git does not know."""
    commit = git(repository, "rev-parse", "HEAD")[:12]
    assert revision_of(repository) == Revision(commit=commit, dirty=False)
    (repository / "new.txt").write_text("x")
    assert str(revision_of(repository)) == commit
    (repository / "answer.py").write_text("ANSWER = 3\n")
    assert str(revision_of(repository)) == f"{commit}-dirty"


def test_a_folder_outside_a_repository_has_no_revision(tmp_path: Path) -> None:
    """That is None, and no error."""
    assert revision_of(tmp_path) is None


def test_a_revision_is_checked_out_once_below_the_cache(repository: Path, tmp_path: Path) -> None:
    """The code is that of the commit, not of the working folder, and stays for the next time."""
    messages: list[str] = []
    ref = find_ref("HEAD~1", repository)
    code = code_of(ref, tmp_path / "cache", messages.append, "same")
    assert (Path(code.source) / "answer.py").read_text() == "ANSWER = 1\n"
    assert code.python == ""
    assert code.revision == Revision(commit=git(repository, "rev-parse", "HEAD~1")[:12], dirty=False)
    assert len(messages) == 1
    assert code_of(ref, tmp_path / "cache", messages.append, "same") == code
    assert len(messages) == 1


def test_each_kind_of_ref_is_recognised(repository: Path, tmp_path: Path) -> None:
    """A model, a folder with code, an interpreter, a revision, the running program."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    kinds = {
        "here": "here",
        str(model): "model",
        str(repository): "code",
        sys.executable: "interpreter",
        "main": "revision",
        "HEAD~1": "revision",
    }
    assert {text: find_ref(text, repository).kind for text in kinds} == kinds
    assert code_of(find_ref(sys.executable, repository), tmp_path, silent).python == sys.executable


def test_a_revision_or_a_folder_without_our_code_is_a_project(tmp_path: Path) -> None:
    """Whatever package it holds: it has no worker of ours, so nothing of it is installed."""
    root = tmp_path / "served"
    root.mkdir()
    (root / "pyproject.toml").write_text(PROJECT.format(""))
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "1")
    revision = find_ref("main", root)
    assert (revision.kind, revision.revision) == ("project", revision_of(root))
    assert find_ref(str(root), tmp_path).kind == "project"


def test_a_shallow_clone_is_said_to_lack_the_revision(repository: Path, tmp_path: Path) -> None:
    """With the option that fetches it, by hand and in CI."""
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", "shallow")
    with pytest.raises(UsageError, match="this clone is shallow") as problem:
        find_ref("HEAD~1", tmp_path / "shallow")
    assert "fetch-depth: 0" in str(problem.value)


def test_outside_a_repository_a_revision_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Git refuses a clone of another user as if there were none, which is frequent in containers."""
    with pytest.raises(UsageError, match="git finds no repository here") as problem:
        find_ref("main", tmp_path)
    assert "safe.directory" in str(problem.value)


def test_a_head_with_uncommitted_changes_is_refused(repository: Path) -> None:
    """They would not be measured. Untracked files, other paths and other commits do not matter."""
    head, earlier = find_ref("HEAD", repository), find_ref("HEAD~1", repository)
    (repository / "new.txt").write_text("x")
    check_clean(head, repository)
    (repository / "answer.py").write_text("ANSWER = 3\n")
    check_clean(head, repository, "harness")
    check_clean(earlier, repository)
    with pytest.raises(UsageError, match=r"has changes that HEAD lacks: answer\.py\."):
        check_clean(head, repository)


@pytest.mark.parametrize("text", ["nowhere", "HEAD~9", "--help", "", "main:answer.py"])
def test_an_unknown_ref_is_refused(repository: Path, text: str) -> None:
    """With the kinds of things that could be named; nothing that looks like an option reaches git."""
    with pytest.raises(UsageError, match="expected a git revision"):
        find_ref(text, repository)


def test_code_in_a_src_folder_is_found_there(tmp_path: Path) -> None:
    """The module path is what an installation would make of it."""
    hold_code(tmp_path / "src")
    (tmp_path / "pyproject.toml").write_text(PROJECT.format(""))
    code = code_of(find_ref(str(tmp_path), tmp_path), tmp_path / "cache", silent, "same")
    assert code == SideCode(source=str(tmp_path / "src"))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that this distribution is installed with two dependencies and an extra."""
    requirements = ["torch<2.14,>=2.6", "numpy>=2", "gt==1; extra == 'minilm'"]
    answer: Callable[[str], list[str]] = lambda _name: requirements  # noqa: E731
    monkeypatch.setattr("importlib.metadata.requires", answer)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("declared", "same"),
    [
        ('"torch >= 2.6, < 2.14", "numpy>=2"', True),
        ('"numpy>=2", "torch>=2.6,<2.14"', True),
        ('"torch>=2.6,<2.15", "numpy>=2"', False),
        ('"torch>=2.6,<2.14"', False),
    ],
)
def test_dependencies_are_the_same_however_they_are_written(
    tmp_path: Path, declared: str, same: bool
) -> None:
    """Order and blanks do not matter; limits do."""
    (tmp_path / "pyproject.toml").write_text(PROJECT.format(declared))
    assert same_dependencies(tmp_path) is same


def test_a_revision_with_other_dependencies_gets_an_environment_of_its_own(
    repository: Path, tmp_path: Path
) -> None:
    """It is built once; its interpreter runs the code of the commit."""
    steps: list[Sequence[str]] = []

    def install(arguments: Sequence[str], ref: str) -> None:
        del ref
        steps.append(arguments)
        (tmp_path / "cache" / "refs" / commit / "environment").mkdir(exist_ok=True)

    commit = git(repository, "rev-parse", "main")[:12]
    ref = find_ref("main", repository)
    code = code_of(ref, tmp_path / "cache", silent, "auto", install)
    environment = tmp_path / "cache" / "refs" / commit / "environment"
    source = tmp_path / "cache" / "refs" / commit / "source"
    assert code.python == str(environment / "bin" / "python")
    assert code.source == str(source)
    assert [arguments[1:3] for arguments in steps] == [["-m", "venv"], ["-m", "pip"]]
    assert steps[1][-1] == str(source)
    assert code_of(ref, tmp_path / "cache", silent, "auto", install) == code
    assert len(steps) == 2


def test_an_environment_that_cannot_be_built_is_not_a_regression() -> None:
    """The error has the last lines of the installer and a remedy."""
    with pytest.raises(MeasurementError, match="cannot be built: no such backend") as problem:
        run_installer([sys.executable, "-c", "raise SystemExit('no such backend')"], "HEAD~1")
    assert problem.value.exit_code == 4
    assert "--environment same" in str(problem.value)
