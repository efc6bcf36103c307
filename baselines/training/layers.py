"""Fine-tuning that treats layers differently: learning rates that fall towards the text, and new top layers.

    embeddings      rate * decay ** (layers + 1)
    layer 0         rate * decay ** layers            what pretraining learned stays
    top layer       rate * decay
    head            rate                              what the task needs changes

Rates by layer: Howard and Ruder 2018 (ULMFiT, arXiv 1801.06146, section 3.2) and Clark et al. 2020 (ELECTRA,
arXiv 2003.10555). New top layers: Zhang et al. 2021 (arXiv 2006.05987, section 5), with the layer that pools.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from baselines.checkpoints.folder import read_config
from baselines.models.families import facts_of, is_described
from harness.common.errors import UnsupportedError, UsageError
from harness.systems.interface import Checkpoint

if TYPE_CHECKING:
    from torch.nn import Module

    from baselines.training.datasets import TrainingSettings


def require_layers(tuning: "TrainingSettings", model: Checkpoint) -> None:
    """Refuse settings by layer for a family whose layers are not described, and more new layers than it has.

    UnsupportedError for the family, UsageError for the number.
    """
    if tuning.layer_decay == 1.0 and not tuning.reinit_layers:
        return
    config = read_config(model.folder)
    if not is_described(config):
        raise UnsupportedError(
            f"a learning rate for each layer, or new top layers, need layers that are described; the family "
            f"{config.get('model_type')} has none.",
            where=model.name,
            remedy="Leave out --layer-decay and --reinit-layers.",
        )
    count = len(facts_of(config, model.name).layers)
    if tuning.reinit_layers > count:
        raise UsageError(
            f"{tuning.reinit_layers} layers cannot begin anew: the encoder has {count}.",
            where=model.name,
            remedy=f"Use at most {count}; one to three is usual.",
        )


def parameter_groups(
    model: "Module", decayed: Collection[str], tuning: "TrainingSettings"
) -> list[dict[str, Any]]:
    """Return an optimizer's groups: the parameters of one learning rate and one weight decay each.

    `decayed` holds the names of the parameters with weight decay.
    """
    groups: dict[tuple[float, float], list[Any]] = defaultdict(list)
    factors = rate_factors(model, tuning.layer_decay)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            weight_decay = tuning.weight_decay if name in decayed else 0.0
            groups[factors[name], weight_decay].append(parameter)
    return [
        {"params": parameters, "lr": tuning.learning_rate * factor, "weight_decay": weight_decay}
        for (factor, weight_decay), parameters in groups.items()
    ]


def rate_factors(model: "Module", decay: float) -> dict[str, float]:
    """Return for each parameter the factor of its learning rate.

    What all layers read counts with the embeddings. A layer that runs several times has the factor of its
    last run.
    """
    from baselines.models.families.layers import encoder_of, facts_about, named, stacked_layers

    names = facts_about(model).modules
    below = named(
        encoder_of(model),
        *(names.words, names.positions, names.types, names.embedding_norm, names.embedding_projection),
        *(names.relative_bias, names.relative_embeddings, names.relative_norm),
        *(names.convolution, names.convolution_norm),
    )
    depths = {id(parameter): 0 for module in below for parameter in module.parameters()}
    layers = stacked_layers(model)
    for depth, layer in enumerate(layers, 1):
        depths |= {id(parameter): depth for parameter in layer.parameters()}
    head = len(layers) + 1
    return {
        name: decay ** (head - depths.get(id(parameter), head))
        for name, parameter in model.named_parameters()
    }


def reinitialise(model: "Module", layers: int) -> None:
    """Draw the weights of the top `layers`, and of the head's pooling layer, anew, as transformers does."""
    if not layers:
        return
    from baselines.models.families.layers import encoder_of, pooling_of, stacked_layers

    pooling = pooling_of(model)[0]
    for module in [*stacked_layers(model)[-layers:], *([pooling] if pooling is not None else [])]:
        for part in module.modules():
            for each in (part, *part.parameters(recurse=False)):
                each._is_hf_initialized = False  # noqa: SLF001 -- transformers' mark of what it leaves as it is
    classifier = model if hasattr(model, "init_weights") else encoder_of(model)
    classifier.init_weights()
