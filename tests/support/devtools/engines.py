"""The page docs/reference/engines.md: settings of each engine, their source, and what was tried.

python -m devtools.engines > docs/reference/engines.md

catalog, settings as the code makes them --section--> an engine's variants, settings, source, trials
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from baselines.engines.ctranslate2 import encoder_options
from baselines.engines.onnx.runtime import session_options
from baselines.engines.openvino import properties
from harness.catalog import load_catalog
from harness.systems.interface import Placement
from optimized.quantization.onnx_static import StaticInt8Variant
from optimized.quantization.openvino_int8 import OpenVinoInt8Variant
from optimized.quantization.torch_int8 import CompiledInt8Variant

THREADS = 4
PLACEMENT = Placement("cpu", tuple(range(THREADS)), THREADS)
SPINNING = ("session.intra_op.allow_spinning", "session.force_spinning_stop")

HEAD = f"""# Engines and their settings

A comparison of engines is fair if each runs as its vendor recommends. This page lists, for each engine,
its variants, the settings that bench uses, where the vendor recommends them, deviations, and what
tuning is tried.

Generated: `PYTHONPATH=tests/support python -m devtools.engines`. The settings of ONNX Runtime, OpenVINO
and CTranslate2 are those that the code makes for {THREADS} threads. A record holds those of its own
run, read back from the engine.

For all engines alike: the same checkpoint, the same requests in the same order, as many threads as
`--threads`, processes pinned to the same cores, warm-up until the times are steady, and answers
compared with those of transformers. Threads never exceed physical cores, which CTranslate2 and ONNX
Runtime recommend too.
"""


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine: whether a variant is its, its settings, the vendor's recommendations, and trials."""

    name: str
    prefix: str
    settings: Callable[[], Mapping[str, object]]
    sources: tuple[tuple[str, str, str], ...]
    """Title, address, and what it recommends."""
    deviations: str
    tried: str


def _eager() -> dict[str, object]:
    return {
        "gradients": "off (`torch.inference_mode`)",
        "threads within an operation": THREADS,
        "threads across operations": 1,
        "padding": "`pytorch-fixed`: to the maximum length; all others: to the longest of a call, or none",
        "int8": "`quantize_dynamic` of linear layers, weights per tensor",
    }


def _compiled() -> dict[str, object]:
    return {
        **_eager(),
        "backend, mode": "Inductor, `default`; `max-autotune` is an option of a rung",
        "shapes": "`dynamic=True`; every length is compiled or reused before timing",
        "weights": "frozen into the graph on a CPU",
        "padding": "to the longest of a call, or none",
        "int8": "torchao's PT2E, weights per channel, "
        f"scales of activations from {CompiledInt8Variant().calibration} training examples",
    }


def _onnx() -> dict[str, object]:
    import onnxruntime

    options = session_options(PLACEMENT, onnxruntime)
    return {
        "`intra_op_num_threads`": options.intra_op_num_threads,
        "`inter_op_num_threads`": options.inter_op_num_threads,
        "`execution_mode`": options.execution_mode.name,
        "`graph_optimization_level`": options.graph_optimization_level.name,
        **{f"`{name}`": options.get_session_config_entry(name) for name in SPINNING},
        "dynamic int8": "`quantize_dynamic` of products with weights, per channel, `QInt8`",
        "static int8": "`quantize_static`, QDQ, per channel, `QUInt8` activations, `MinMax` over "
        f"{StaticInt8Variant().calibration} training examples",
    }


def _openvino() -> dict[str, object]:
    return {
        **{f"`{name}`": value for name, value in properties(PLACEMENT, "f32").items()},
        "int8": "`nncf.quantize`, `ModelType.TRANSFORMER`, "
        f"{OpenVinoInt8Variant().calibration} training examples",
    }


def _ctranslate2() -> dict[str, object]:
    return {f"`{name}`": value for name, value in encoder_options(PLACEMENT, "float32").items()}


def _native() -> dict[str, object]:
    from optimized.native.build import OPTIONS

    return {"compiler flags": f"`{' '.join(OPTIONS)}`", "threads": THREADS}


ENGINES = (
    Engine(
        "torch.compile",
        "pytorch-compiled",
        _compiled,
        (
            (
                "transformers, torch.compile, section Modes",
                "https://huggingface.co/docs/transformers/main/en/perf_torch_compile",
                "several modes; `max-autotune` is described as the fastest, with a longer compilation",
            ),
        ),
        "The mode is `default`, not `max-autotune`. So this is not the best that torch.compile may do. "
        "`max-autotune` runs without CUDA graphs, whose outputs the next call overwrites.",
        "`max-autotune` was not measured here. `bench ladder --ladder FILE.yaml` measures it with the rungs "
        "`{name: compiled, engine: pytorch-compiled}` and `{name: tuned, engine: pytorch-compiled, "
        "options: {mode: max-autotune}}`.",
    ),
    Engine(
        "PyTorch, eager",
        "pytorch-",
        _eager,
        (
            (
                (
                    "PyTorch, Performance Tuning Guide, section Disable gradient calculation for "
                    "validation or inference"
                ),
                "https://docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html",
                "no gradients in inference",
            ),
            (
                "the same, section CPU-specific optimizations",
                "https://docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html",
                "threads bound to cores, and other allocators",
            ),
        ),
        "No other allocator than the system's by default. `pytorch-fixed` pads on purpose: papers "
        "compare with it, and each verdict names the "
        "unpadded `pytorch-dynamic` first.",
        "Allocators and large pages, as rungs of a ladder "
        "([allocators](../../results/rivals/allocators.md)): no gain larger than the difference "
        "between two processes. On CUDA: batches sorted by length, packed batches, CUDA graphs, each "
        "as a variant.",
    ),
    Engine(
        "ONNX Runtime",
        "onnx-",
        _onnx,
        (
            (
                "ONNX Runtime, Thread management",
                "https://onnxruntime.ai/docs/performance/tune-performance/threading.html",
                (
                    "a thread for each physical core, sequential execution, all graph optimisations, "
                    "spinning: its defaults"
                ),
            ),
            (
                "ONNX Runtime, Quantize ONNX models",
                "https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html",
                "weights of 7 bits on CPUs without VNNI",
            ),
        ),
        "None of the defaults is changed, but for the number of threads. Where instances take turns "
        "on one core, spinning stops at the end of a call.",
        "`onnx-fused` and `onnx-int8` time the raw graph against the one of its transformer "
        "optimiser. `onnx-int8-tuned` times no mask, no arena, no "
        "spinning, denormals as zero and bound inputs, and keeps what gains. Without VNNI, 7 bits are"
        " compared with 8. The manifest has all times.",
    ),
    Engine(
        "OpenVINO",
        "openvino-",
        _openvino,
        (
            (
                "OpenVINO, High-level Performance Hints",
                "https://docs.openvino.ai/2025/openvino-workflow/running-inference/optimize-inference/high-level-performance-hints.html",
                "hints instead of low-level settings",
            ),
            (
                "OpenVINO, Performance Hints and Thread Scheduling",
                (
                    "https://docs.openvino.ai/2025/openvino-workflow/running-inference/inference-devices-and-modes/cpu-device/"
                    "performance-hint-and-thread-scheduling.html"
                ),
                "the latency and the throughput hint; the number of threads as a limit",
            ),
            (
                "OpenVINO, Basic Quantization Flow",
                (
                    "https://docs.openvino.ai/2025/openvino-workflow/model-optimization-guide/"
                    "quantizing-models-post-training/basic-quantization-flow.html"
                ),
                "the model type for transformers; 300 samples, say, for calibration",
            ),
        ),
        "`NUM_STREAMS` is 1 with the latency hint, so that one request has all threads. OpenVINO's "
        "own pinning is off, because bench pins each process. "
        "Lengths are padded to multiples of 16, since OpenVINO compiles for each new length. "
        f"Calibration uses {OpenVinoInt8Variant().calibration} examples, not 300; `calibration` is an option "
        "of a rung.",
        "Both hints, float32, bfloat16 and int8, and a pool of one process for each core are measured"
        " side by side "
        "([pages](../explanation/speed.md#what-was-measured)).",
    ),
    Engine(
        "CTranslate2",
        "ctranslate2-",
        _ctranslate2,
        (
            (
                "CTranslate2, Performance tips, section CPU",
                "https://opennmt.net/CTranslate2/performance.html",
                (
                    "int8; more `inter_threads` than `intra_threads` for much data; no more threads than "
                    "physical cores; packed products are the default"
                ),
            ),
        ),
        "One replica with all threads, so `inter_threads` is 1. Replicas are measured as a pool of "
        "processes with one thread each instead.",
        "float32, int8, and the pool of each. Without VNNI, 7 bits are compared with 8.",
    ),
    Engine(
        "native",
        "native-",
        _native,
        (("this project, native", "../explanation/native.md", "how the encoder works"),),
        "It is bench's own engine, so its authors tuned it, and nobody else's guide exists. Read its "
        "lead with that in mind.",
        "The library is compiled for the best level of instructions of the processor "
        "([native](../explanation/native.md)); its levels are not timed against one another.",
    ),
)
"""In the order in which prefixes are compared."""

OTHERS = {
    "fastest": "times the engines above on training examples and keeps the fastest",
    "null": "no engine",
    "command": "a program of the user",
    "null-server": "no engine, behind a model server's client",
}


def variants_by_engine(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the variants of each engine, by its name; StopIteration for one of no engine."""
    grouped: dict[str, list[str]] = {engine.name: [] for engine in ENGINES}
    for name in names:
        if name not in OTHERS:
            grouped[next(engine.name for engine in ENGINES if name.startswith(engine.prefix))].append(name)
    return grouped


def section(engine: Engine, variants: Iterable[str]) -> str:
    """Return the section of one engine."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in engine.settings().items())
    sources = "\n".join(f"- [{title}]({address}): {advice}." for title, address, advice in engine.sources)
    return f"""## {engine.name}

Variants: {", ".join(f"`{name}`" for name in variants)}.

| setting | value |
|---|---|
{rows}

Recommended by:

{sources}

Deviations: {engine.deviations}

Tried: {engine.tried}
"""


def page() -> str:
    """Return the whole page."""
    names = load_catalog().variants
    grouped = variants_by_engine(names)
    others = "\n".join(f"- `{name}`: {about}." for name, about in OTHERS.items() if name in names)
    sections = (section(engine, grouped[engine.name]) for engine in ENGINES)
    return "\n".join([HEAD, *sections, f"## Not an engine\n\n{others}\n"])


if __name__ == "__main__":
    sys.stdout.write(page())
