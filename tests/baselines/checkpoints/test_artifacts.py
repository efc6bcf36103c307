"""Cache keys hold everything that decides an artifact."""

from baselines.checkpoints.artifacts import cache_key
from harness.workload.tasks.custom import CustomTaskDefinition, custom_task


def test_artifacts_of_a_task_that_is_cut_elsewhere_have_another_key() -> None:
    """What is trained and calibrated on a pair depends on the text that truncation cuts."""
    labels = ("no", "yes")
    tasks = [
        custom_task(CustomTaskDefinition(labels, pair=True, truncate=truncate))
        for truncate in ("first", "second", "longest")
    ]
    keys = [cache_key("recipe", 1, task, ["parent"]) for task in tasks]
    assert len(set(keys)) == 3
    # where the first text is cut, as in official tasks, the key is that of earlier versions
    assert keys[0] == "d1ac7ec2442e1a8fafc8fd2276584e4ede8eb941cd552db7f32f3c14025d76af"
