"""RTE rows: a short news report on institutions, and a sentence that follows from it or does not."""

from harness.workload.synthetic.claims import draw_claim
from harness.workload.synthetic.facts import draw_world
from harness.workload.synthetic.lexicon import load_lexicon
from harness.workload.synthetic.news_reports import write_report
from harness.workload.synthetic.prose import is_short, write_claim
from harness.workload.synthetic.seeded_random import SeededRandom

SHARE_ENTAILED = 0.52
LABELS = {True: "entailment", False: "not_entailment"}


def draw_row(rng: SeededRandom, split: str, max_sentences: int | None = None) -> dict[str, object]:
    """Draw one row without its `idx`."""
    short = is_short(max_sentences)
    fact_counts = (rng.choice((2, 3)), 1) if short else (rng.choice((2, 3, 4)), rng.choice((1, 2, 2, 3)))
    world = draw_world(rng, split, rng.choice(load_lexicon().institutions), fact_counts)
    entailed = rng.chance(SHARE_ENTAILED)
    hypothesis = write_claim(rng, world, *draw_claim(rng, world, entailed))
    premise = write_report(rng, world, 0 if short else rng.below(3))
    return {"premise": premise, "hypothesis": hypothesis, "label": LABELS[entailed]}
