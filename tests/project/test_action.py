"""The steps of action.yml, run as a runner runs them; `bench` and `gh` are stand-ins."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from repositories import commit, git, new_repository

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "action.sh"
ACTION: Mapping[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))

FAKE_BENCH = """#!/usr/bin/env bash
printf '%s|' "$@" >>"$CALLS"; echo >>"$CALLS"
case "$*" in
*--pin*) mkdir -p "$BENCH_STORE/pinned"; echo '{}' >"$BENCH_STORE/pinned/RUN-1.json" ;;
*annotations*) echo '::error::slower'; exit $GATE_CODE ;;
gate*) echo 'bench: a message' >&2; [ -z "$TABLE" ] || echo "$TABLE"; exit $GATE_CODE ;;
run*) exit 0 ;;
esac
"""

FAKE_GH = """#!/usr/bin/env bash
printf '%s|' "$@" >>"$CALLS"; echo >>"$CALLS"
case "$*" in
*PATCH* | *POST*) exit ${GH_CODE:-0} ;;
*paginate*) echo "${COMMENT_ID:-}" ;;
"run list"*) echo "${RUN_ID:-}" ;;
"run download"*) echo '{}' >"${@: -1}/RUN-0.json" ;;
esac
"""


FAKE_PYTHON = r"""#!/usr/bin/env bash
mkdir -p "$3/bin"
printf '#!/usr/bin/env bash\nprintf "%%s|" "$@" >>"$CALLS"; echo >>"$CALLS"\n' >"$3/bin/pip"
printf '#!/usr/bin/env bash\necho bench 0.1.0\n' >"$3/bin/bench"
chmod +x "$3"/bin/*
"""


@dataclass
class Runner:
    """A runner with a clone of one repository, whose default branch is main."""

    root: Path

    def __post_init__(self) -> None:
        programs = self.root / "programs"
        programs.mkdir()
        for name, text in (("bench", FAKE_BENCH), ("gh", FAKE_GH)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.origin = new_repository(self.root / "origin")
        for name in ("1", "2"):
            (self.origin / "model").write_text(name)
            commit(self.origin)
        git(self.root, "clone", "--quiet", f"file://{self.origin}", "clone")
        self.clone = self.root / "clone"

    def step(self, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one step of the action with these variables."""
        runner = {
            "PATH": f"{self.root / 'programs'}:{os.environ['PATH']}",
            "HOME": str(self.root),
            "RUNNER_TEMP": str(self.root / "temp"),
            "GITHUB_OUTPUT": str(self.root / "output"),
            "GITHUB_STEP_SUMMARY": str(self.root / "summary"),
            "GITHUB_REPOSITORY": "owner/served",
            "GITHUB_WORKFLOW": "bench",
            "CALLS": str(self.root / "calls"),
            "GATE_CODE": "0",
            "TABLE": "### Gate: holds",
        }
        return subprocess.run(
            ["bash", str(SCRIPT), name],
            check=False,
            cwd=self.clone,
            env=runner | variables,
            capture_output=True,
            text=True,
        )

    def gate(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the step of a pull request into main."""
        return self.step("gate", **{"GITHUB_BASE_REF": "main"} | variables)

    def read(self, name: str) -> str:
        """Return a file that the steps wrote: output, summary or calls."""
        return (self.root / name).read_text()

    def calls(self) -> list[list[str]]:
        """Return the arguments of each call of `bench` and `gh`."""
        return [line.split("|")[:-1] for line in self.read("calls").splitlines()]


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.mark.parametrize(
    ("code", "status"), [(0, "holds"), (3, "regression"), (4, "could not measure"), (6, "too noisy")]
)
def test_a_verdict_is_the_exit_code_the_summary_and_the_outputs(
    runner: Runner, code: int, status: str
) -> None:
    """With annotations in the log, which `bench` makes of the run that was just measured."""
    step = runner.gate(GATE_CODE=str(code))
    assert step.returncode == code
    assert runner.read("summary") == "### Gate: holds\n"
    outputs = dict(line.split("=", 1) for line in runner.read("output").splitlines())
    assert (outputs["exit-code"], outputs["status"]) == (str(code), status)
    assert Path(outputs["table"]).read_text() == "### Gate: holds\n"
    assert "::error::slower" in step.stdout
    assert "bench: a message" in step.stderr


def test_noise_that_passes_is_still_called_noise(runner: Runner) -> None:
    """The exit code is that of the gate with its options, and the status what was found."""
    text = (runner.root / "programs" / "bench").read_text()
    text = text.replace("case ", 'if [[ "$*" == *--allow-noise* ]]; then echo table; exit 0; fi\ncase ', 1)
    (runner.root / "programs" / "bench").write_text(text)
    assert runner.gate(GATE_CODE="6").returncode == 0
    assert "exit-code=0\nstatus=too noisy\n" in runner.read("output")


def test_what_was_refused_shows_its_message_in_the_summary(runner: Runner) -> None:
    """Exit 2 has no table; nothing is judged again, as there is no run."""
    step = runner.gate(GATE_CODE="2", TABLE="")
    assert step.returncode == 2
    assert runner.read("summary") == "### Gate: not run (exit code 2)\n\n    bench: a message\n"
    assert "status=not run\n" in runner.read("output")
    assert len(runner.calls()) == 1


def test_inputs_become_options_word_by_word(runner: Runner) -> None:
    """Quotes hold words together, and nothing in an input is run."""
    inputs = {
        "BENCH_INPUT_MODEL": "models/my model",
        "BENCH_INPUT_TASK": "custom",
        "BENCH_OPTIONS": "--text 'the review' --label $(touch injected) --rounds 11",
        "BENCH_RULES": "rules.yaml",
        "BENCH_SETUP": "python train.py --fast",
        "BENCH_BASE": "HEAD~1; touch injected",
    }
    assert runner.gate(**inputs).returncode == 0
    gate = runner.calls()[0]
    assert gate[:3] == ["gate", "--base", "HEAD~1; touch injected"]
    assert gate[3:7] == ["--model", "models/my model", "--task", "custom"]
    assert gate[7:] == [
        *(
            "--text",
            "the review",
            "--label",
            "$(touch",
            "injected)",
            "--rounds",
            "11",
            "--rules",
            "rules.yaml",
        ),
        *("--allow-noise", "--setup", "python train.py --fast", "--format", "markdown"),
    ]
    assert not (runner.clone / "injected").exists()


def test_base_is_the_branch_of_a_pull_request_or_the_commit_before_a_push(runner: Runner) -> None:
    """GitHub writes zeros for the commit before a new branch."""
    before = git(runner.origin, "rev-parse", "HEAD~1")
    runner.gate()
    runner.step("gate", BENCH_BEFORE=before)
    runner.step("gate", BENCH_BEFORE="0" * 40)
    bases = [call[2] for call in runner.calls() if call[1] == "--base"]
    assert bases == ["origin/main", before, "HEAD^"]


def test_a_checkout_of_one_commit_fetches_its_base(runner: Runner) -> None:
    """actions/checkout fetches one commit unless it is told otherwise."""
    git(runner.origin, "checkout", "--quiet", "-b", "change")
    (runner.origin / "model").write_text("3")
    commit(runner.origin)
    runner.clone = runner.root / "shallow"
    git(runner.root, "clone", "--quiet", "--depth=1", "--branch=change", f"file://{runner.origin}", "shallow")
    assert runner.gate().returncode == 0
    assert git(runner.clone, "show", "origin/main:model") == "2"


def test_noise_fails_where_it_is_not_allowed(runner: Runner) -> None:
    """The input allow-noise is an option of `bench gate`."""
    runner.gate(BENCH_ALLOW_NOISE="false")
    assert not any("--allow-noise" in call for call in runner.calls())


def comment(runner: Runner, **variables: str) -> subprocess.CompletedProcess[str]:
    runner.gate()
    (runner.root / "calls").write_text("")
    return runner.step("comment", BENCH_PULL_REQUEST="7", **variables)


def test_a_pull_request_gets_one_comment_which_later_runs_replace(runner: Runner) -> None:
    """It is found again by a mark with the job's title."""
    assert comment(runner, BENCH_TITLE="cpu").returncode == 0
    assert runner.calls()[1][2:5] == ["--method", "POST", "repos/owner/served/issues/7/comments"]
    body = (runner.root / "temp" / "bench" / "comment.md").read_text()
    assert body == "<!-- bench gate: cpu -->\n### Gate: holds\n"
    assert comment(runner, COMMENT_ID="99").returncode == 0
    assert runner.calls()[1][2:5] == ["--method", "PATCH", "repos/owner/served/issues/comments/99"]


def test_a_comment_that_may_not_be_written_is_a_warning(runner: Runner) -> None:
    """The token of a fork's pull request only reads; the verdict is the gate's."""
    step = comment(runner, GH_CODE="1")
    assert step.returncode == 0
    assert step.stdout.startswith("::warning title=bench::")


def test_a_branch_keeps_the_references_of_main_and_pull_requests_are_held_against_them(
    runner: Runner,
) -> None:
    """Each run on main adds one; the branch has nothing else."""
    kept = {"BENCH_BASELINE": "branch", "BENCH_DEFAULT_BRANCH": "main"}
    main = {**kept, "GITHUB_REF": "refs/heads/main"}
    refused = runner.step("baseline", **kept, GITHUB_REF="refs/pull/1/merge")
    assert (refused.returncode, "there is no pinned reference yet" in refused.stdout) == (2, True)
    for _ in range(2):
        assert [runner.step(name, **main).returncode for name in ("baseline", "gate", "keep")] == [0, 0, 0]
    assert "as a reference for later runs" in runner.read("summary")
    assert git(runner.origin, "ls-tree", "-r", "--name-only", "bench-baseline") == "pinned/RUN-1.json"
    assert git(runner.clone, "status", "--porcelain") == ""
    (runner.root / "other").mkdir()
    other = Runner(runner.root / "other")
    other.clone = runner.clone
    pull = {**kept, "GITHUB_REF": "refs/pull/1/merge", "GITHUB_BASE_REF": "main"}
    assert [other.step(name, **pull).returncode for name in ("baseline", "gate", "keep")] == [0, 0, 0]
    assert (other.root / "temp" / "bench" / "results" / "pinned" / "RUN-1.json").exists()
    assert [call[0] for call in other.calls()] == ["run", "gate", "gate", "gate"]
    assert other.calls()[1][1:3] == ["--run", "latest"]


def test_an_artifact_keeps_the_references_of_the_newest_passing_run(runner: Runner) -> None:
    """It is found by the workflow and the default branch."""
    kept = {"BENCH_BASELINE": "artifact", "BENCH_DEFAULT_BRANCH": "main"}
    assert runner.step("baseline", **kept).returncode == 2
    assert runner.step("baseline", **kept, RUN_ID="5").returncode == 0
    assert runner.calls()[-1][:4] == ["run", "download", "5", "--name"]
    assert (runner.root / "temp" / "bench" / "results" / "pinned" / "RUN-0.json").exists()


@pytest.mark.parametrize("name", ["BENCH_SETUP", "BENCH_BASE"])
def test_an_input_that_a_kind_of_baseline_has_no_use_for_is_refused(runner: Runner, name: str) -> None:
    """It would be left out in silence."""
    step = runner.gate(BENCH_BASELINE="branch", **{name: "x"})
    assert (step.returncode, "setup and base are for baseline: revision" in step.stdout) == (2, True)


def test_the_action_installs_its_own_checkout(runner: Runner) -> None:
    """Or the requirement that was named, into an environment whose programs come first from then on."""
    python = runner.root / "programs" / "python3"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    words = {"GITHUB_ACTION_PATH": "/action", "GITHUB_PATH": str(runner.root / "path")}
    assert (
        runner.step("install", **words, BENCH_PIP_ARGUMENTS="--index-url 'URL of an index'").returncode == 0
    )
    assert runner.step("install", **words, BENCH_INSTALL="git+URL@v1").returncode == 0
    first, second = runner.calls()
    assert first[-3:] == ["--index-url", "URL of an index", "/action"]
    assert second[-2:] == ["--disable-pip-version-check", "git+URL@v1"]
    (folder, _) = runner.read("path").splitlines()
    assert Path(folder, "bench").exists()
    assert "version=bench-0.1.0\n" in runner.read("output")


def test_an_unknown_kind_of_baseline_is_refused(runner: Runner) -> None:
    """Before anything is measured."""
    step = runner.gate(BENCH_BASELINE="cache")
    assert (step.returncode, step.stdout) == (
        2,
        "::error title=bench::baseline must be revision, branch or artifact, got cache\n",
    )


def test_every_step_of_the_action_is_one_call_of_the_script() -> None:
    """No input is pasted into a shell, each is used, and each variable of the script is set by a step."""
    steps = ACTION["runs"]["steps"]
    lines = [step["run"] for step in steps if "run" in step]
    assert lines == [
        f'"$GITHUB_ACTION_PATH/.ci/action.sh" {name}'
        for name in ("install", "baseline", "gate", "keep", "comment")
    ]
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert all(f"inputs.{name}" in text for name in ACTION["inputs"])
    set_by_steps = {name for step in steps for name in step.get("env", {}) if name.startswith("BENCH_")}
    read = set(re.findall(r"\$\{?(BENCH_[A-Z_]+)", SCRIPT.read_text(encoding="utf-8"))) - {
        "BENCH_STORE",
        "BENCH_CACHE",
    }
    named = {name for name in set_by_steps if not name.startswith("BENCH_INPUT_")}
    assert named == read
    assert {f"BENCH_INPUT_{name}" for name in ("MODEL", "DATA", "TASK", "VARIANTS")} == set_by_steps - named
