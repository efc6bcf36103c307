"""What model servers load from an exported folder: a module that serves it, and the server's settings.

    serve.py (texts to a label) <-- serve_litserve.py, serve_mlserver.py, ... <-- the server

The modules of this package are copied into the folder as they are; there they find serve.py beside them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from harness.common.errors import UnsupportedError, unknown_name
from harness.workload.tasks.base import Task

SERVERS = ("litserve", "mlserver", "triton", "ovms")
"""The servers that an exported folder can be made for."""


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """The further files of a folder, by name, and a section of its README."""

    files: Mapping[str, str]
    notes: str


def require_servable(server: str, task: Task) -> None:
    """Raise UsageError for a server that is not known, UnsupportedError for a task it has no form for."""
    if server not in SERVERS:
        raise unknown_name("server", server, SERVERS)
    if task.head != "sequence":
        raise UnsupportedError(
            f"{task.name} is not answered by one label for each text, which is the form for {server}.",
            where="--server",
            remedy="Leave out --server: serve_http.py answers requests of every form.",
        )


def server_files(server: str, settings: Mapping[str, Any], name: str) -> ServerFiles:
    """Return what a server loads; `name` is the model's name there, `settings` those of the folder."""
    texts = ["first", "second"] if settings["pair"] else ["first"]
    return _MAKERS[server](texts, name)


def _litserve(texts: list[str], name: str) -> ServerFiles:
    del texts, name
    contents = {
        "serve_litserve.py": _module("litserve_api.py"),
        "requirements-litserve.txt": "litserve>=0.2.5\n",
    }
    return ServerFiles(contents, _LITSERVE)


def _mlserver(texts: list[str], name: str) -> ServerFiles:
    model = {
        "name": name,
        "implementation": "serve_mlserver.ClassifierRuntime",
        "inputs": [{"name": text, "datatype": "BYTES", "shape": [-1]} for text in texts],
        "outputs": [{"name": "label", "datatype": "BYTES", "shape": [-1]}],
    }
    contents = {
        "mlserver-model/serve_mlserver.py": _module("mlserver_runtime.py"),
        "mlserver-model/model-settings.json": json.dumps(model, indent=1) + "\n",
        "requirements-mlserver.txt": "mlserver>=1.6\n",
    }
    return ServerFiles(contents, _MLSERVER.format(name=name))


def _triton(texts: list[str], name: str) -> ServerFiles:
    inputs = ",\n".join(f'  {{ name: "{text}" data_type: TYPE_STRING dims: [ -1 ] }}' for text in texts)
    contents = {
        f"triton/{name}/config.pbtxt": _TRITON_CONFIG.format(name=name, inputs=inputs),
        f"triton/{name}/1/model.py": _module("triton_model.py"),
    }
    return ServerFiles(contents, _TRITON.format(name=name))


def _ovms(texts: list[str], name: str) -> ServerFiles:
    streams = [(f"OVMS_PY_TENSOR_{text.upper()}:{text}", f"{text.upper()}:{text}") for text in texts]
    graph = _OVMS_GRAPH.format(
        outer="\n".join(f'input_stream: "{outer}"' for outer, _ in streams),
        inner="\n".join(f'  input_stream: "{inner}"' for _, inner in streams),
    )
    # relative paths are taken from the folder of config.json
    served = {"name": name, "base_path": name, "graph_path": "graph.pbtxt"}
    config = {"model_config_list": [], "mediapipe_config_list": [served]}
    contents = {
        "ovms/config.json": json.dumps(config, indent=1) + "\n",
        f"ovms/{name}/graph.pbtxt": graph,
        f"ovms/{name}/serve_ovms.py": _module("ovms_node.py"),
    }
    return ServerFiles(contents, _OVMS.format(name=name))


_MAKERS = {"litserve": _litserve, "mlserver": _mlserver, "triton": _triton, "ovms": _ovms}


def _module(name: str) -> str:
    return files("baselines.export.servers").joinpath(name).read_text(encoding="utf-8")


_TRITON_CONFIG = """name: "{name}"
backend: "python"
max_batch_size: 0
input [
{inputs}
]
output [
  {{ name: "label" data_type: TYPE_STRING dims: [ -1 ] }}
]
instance_group [ {{ kind: KIND_CPU }} ]
"""

_OVMS_GRAPH = """{outer}
output_stream: "OVMS_PY_TENSOR:label"
node {{
  name: "classifier"
  calculator: "PythonExecutorCalculator"
  input_side_packet: "PYTHON_NODE_RESOURCES:py"
{inner}
  output_stream: "LABEL:label"
  node_options: {{
    [type.googleapis.com / mediapipe.PythonExecutorCalculatorOptions]: {{
      handler_path: "serve_ovms.py"
    }}
  }}
}}
"""

_LITSERVE = """
## Serve it with LitServe

```sh
env/bin/pip install -r requirements-litserve.txt
env/bin/python serve_litserve.py --port 8000
```

Requests and answers of `/predict` are those of `serve.py`.
"""

_MLSERVER = """
## Serve it with MLServer

```sh
env/bin/pip install -r requirements-mlserver.txt
MLSERVER_PARALLEL_WORKERS=0 MLSERVER_HTTP_PORT=8000 env/bin/mlserver start mlserver-model
```

`/v2/models/{name}/infer` answers in the Open Inference Protocol: texts in, `label` out.
"""

_TRITON = """
## Serve it with Triton

The folder `triton` is a model repository for Triton's Python backend, whose Python needs the packages of
`requirements.txt`. It uses the files of this folder, so keep them together:

```sh
tritonserver --model-repository triton
```

`/v2/models/{name}/infer` answers in the Open Inference Protocol: texts in, `label` out.
"""

_OVMS = """
## Serve it with OpenVINO Model Server

The folder `ovms` holds the server's configuration and a graph of one Python node. It needs a server that was
built with Python, and whose Python has the packages of `requirements.txt`. It uses the files of this folder,
so keep them together:

```sh
ovms --config_path ovms/config.json --rest_port 8000 --port 9000
```

`/v2/models/{name}/infer` answers in the Open Inference Protocol: texts in, `label` out.
"""
