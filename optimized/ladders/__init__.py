"""The built-in ladders, as the same plain data that a YAML file of the user would hold."""

from optimized.ladders.adaptive import ADAPTIVE
from optimized.ladders.fastformers import FASTFORMERS
from optimized.ladders.gpu import GPU, PAPER_GPU
from optimized.ladders.paper import PAPER
from optimized.ladders.rivals import RIVALS
from optimized.ladders.search import SEARCH

LADDERS = {
    ladder["name"]: ladder for ladder in (FASTFORMERS, ADAPTIVE, PAPER, RIVALS, SEARCH, GPU, PAPER_GPU)
}
"""The built-in ladders by name."""
