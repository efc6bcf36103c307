"""Tasks that techniques of adaptive inference refuse, before they prepare anything."""

from pathlib import Path
from typing import Any

import pytest
import tiny

from baselines.engines.pytorch import VARIANTS
from harness.common.errors import UsageError
from optimized.adaptive.cascade import CascadeVariant
from optimized.adaptive.early_exit.variant import EARLY_EXIT
from optimized.adaptive.token_dropping.variant import TOKENS

TECHNIQUES = {
    "a cascade": CascadeVariant("cascade", "two stages", VARIANTS),
    "early exit": EARLY_EXIT[0],
    "token dropping": TOKENS[0],
}


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_any_number_of_labels_is_refused_by_name(tmp_path: Path, technique: str) -> None:
    """Their confidence is that of one label. Nothing is prepared."""
    folder = tiny.multi_label_checkpoint(tmp_path / "several")
    task, variant = tiny.multi_label_task(), TECHNIQUES[technique]
    context = tiny.preparation_context(tmp_path / "cache")
    with pytest.raises(
        UsageError, match=f"{technique} does not support custom, a task with any number"
    ) as refused:
        variant.prepare(task, tiny.sources(folder, task=task), tiny.SHORT, context)
    assert refused.value.where == variant.name
    assert refused.value.remedy
    made: Any = context.cache
    assert made.made == []
