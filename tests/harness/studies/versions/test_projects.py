import sys
from pathlib import Path

import pytest
from repositories import commit, new_repository

from harness.common.errors import MeasurementError, UsageError
from harness.studies.versions.projects import LFS_POINTER, Project, find_model
from harness.studies.versions.refs import find_ref


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a repository whose model is 1 in the first commit and 2 in the second; `make.py` copies it."""
    root = new_repository(tmp_path / "project")
    (root / "sub" / "model").mkdir(parents=True)
    (root / "sub" / "make.py").write_text(
        "import shutil; shutil.copytree('model', 'made'); print('done', file=open('log', 'a'))"
    )
    for number in (1, 2):
        (root / "sub" / "model" / "config.json").write_text(str(number))
        commit(root)
    return root


def silent(text: str) -> None:
    del text


def config_of(name: str, project: Project, cache: Path) -> str:
    """Return the contents of the model that a REF holds."""
    model = find_model(find_ref(name, project.folder), project, cache, silent)
    assert model.kind == "model"
    assert model.path is not None
    return (model.path / "config.json").read_text()


def test_a_revision_holds_the_model_of_its_commit(root: Path, tmp_path: Path) -> None:
    """The path is relative to the working folder, which may lie below the top of the repository."""
    for folder, model in ((root, "sub/model"), (root / "sub", "model"), (root, str(root / "sub" / "model"))):
        project = Project(model, "", folder)
        configs = [config_of(name, project, tmp_path / "cache") for name in ("HEAD~1", "HEAD", "here")]
        assert configs == ["1", "2", "2"]


def test_the_working_folder_is_measured_as_it_is(root: Path, tmp_path: Path) -> None:
    """With what has not been committed."""
    (root / "sub" / "model" / "config.json").write_text("3")
    assert config_of("here", Project("sub/model", "", root), tmp_path) == "3"


def test_a_folder_of_the_project_holds_the_model_at_the_same_path(root: Path, tmp_path: Path) -> None:
    """A second clone, for instance."""
    other = tmp_path / "other" / "sub" / "model"
    other.mkdir(parents=True)
    (other / "config.json").write_text("4")
    assert config_of(str(tmp_path / "other"), Project("sub/model", "", root), tmp_path) == "4"


def test_a_setup_command_makes_the_model_once_for_each_revision(root: Path, tmp_path: Path) -> None:
    """In a checkout of its own, which stays; it runs in the same folder of the project."""
    project = Project("made", f"{sys.executable} make.py", root / "sub")
    assert [config_of("HEAD~1", project, tmp_path / "cache") for _ in range(2)] == ["1", "1"]
    (log,) = (tmp_path / "cache" / "refs").glob("*/source/sub/log")
    assert log.read_text() == "done\n"
    assert not (root / "sub" / "made").exists()
    assert config_of("here", project, tmp_path / "cache") == "2"
    assert (root / "sub" / "made").exists()


def test_a_setup_command_that_fails_could_not_be_measured(root: Path, tmp_path: Path) -> None:
    """Its last lines are quoted, and the next attempt begins with a clean checkout."""
    project = Project("made", f"{sys.executable} -c 'raise SystemExit(\"no data\")'", root)
    for _ in range(2):
        with pytest.raises(MeasurementError, match=r"HEAD~1: --setup ended with exit code 1: no data"):
            config_of("HEAD~1", project, tmp_path)


def test_a_setup_command_that_does_not_exist_is_named(root: Path, tmp_path: Path) -> None:
    """It is no shell's command line."""
    with pytest.raises(MeasurementError, match="--setup cannot be started: No such file"):
        config_of("HEAD", Project("made", "no-such-program", root), tmp_path)
    with pytest.raises(UsageError, match="--setup: cannot be split: No closing quotation"):
        config_of("HEAD", Project("made", "sh -c 'x", root), tmp_path)


@pytest.mark.parametrize("model", ["embedded", "bert-base-uncased", "sub/nowhere"])
def test_a_name_that_is_no_folder_of_the_project_is_refused(root: Path, tmp_path: Path, model: str) -> None:
    """The same model on both sides would compare nothing."""
    with pytest.raises(UsageError, match=f"HEAD: there is no folder {model} in it") as problem:
        config_of("HEAD", Project(model, "", root), tmp_path)
    assert "--model DIR" in str(problem.value)


def test_a_model_outside_of_the_project_is_refused(root: Path, tmp_path: Path) -> None:
    """It is the same in all revisions."""
    for model in ("../elsewhere", str(tmp_path)):
        with pytest.raises(UsageError, match="is outside of the project"):
            config_of("HEAD", Project(model, "", root), tmp_path)


def test_a_pointer_of_git_lfs_is_refused_and_its_checkout_is_not_kept(root: Path, tmp_path: Path) -> None:
    """The content may be there the next time."""
    (root / "sub" / "model" / "model.safetensors").write_bytes(LFS_POINTER + b"v1\noid sha256:0\nsize 5\n")
    commit(root)
    with pytest.raises(UsageError, match=r"HEAD: model\.safetensors is a pointer of Git LFS"):
        config_of("HEAD", Project("sub/model", "", root), tmp_path / "cache")
    assert not list((tmp_path / "cache" / "refs").iterdir())
    with pytest.raises(UsageError, match=r"here: model\.safetensors is a pointer of Git LFS"):
        config_of("here", Project("sub/model", "", root), tmp_path / "cache")
    assert (root / "sub" / "model").exists()
