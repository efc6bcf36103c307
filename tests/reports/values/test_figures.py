from itertools import chain

from records import a_failure, a_record, three_variants

from reports.values.figures import all_figures, figures_of_group


def test_figures_of_a_whole_report_are_those_of_each_group_alone() -> None:
    """Groups of other lengths, a failed record and one without energy do not affect the others."""
    runs = [
        three_variants(),
        [a_record(run="r2", wall_ms=(10, 12, 11, 15)), a_failure("broken").model_copy(update={"run": "r2"})],
        [a_record(run="r3", wall_ms=(9, 8, 7)), a_record("fast", (3, 2, 4), run="r3", joules=(None,) * 3)],
    ]
    together = all_figures([record for run in runs for record in run])
    alone = [figures_of_group(run, run) for run in runs]
    assert together == alone
    for first, second in zip(chain(*together), chain(*alone), strict=True):
        assert (first.net, first.warnings) == (second.net, second.warnings)
    assert [len(group) for group in together] == [3, 2, 2]
