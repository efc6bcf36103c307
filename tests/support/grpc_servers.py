"""Servers of the Open Inference Protocol over gRPC for tests: sound ones, and ones that break a rule."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from model_servers import CERTIFICATE

from baselines.servers.protocols.oip_grpc import SERVICE
from baselines.servers.protocols.oip_messages import message, read_message

Answer = Callable[[bytes, Any], bytes]
"""Answers the bytes of a request; the second argument is the library's context of the call."""

LONG = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


@dataclass
class GrpcServer:
    """A running server: its port, and the calls that it got."""

    port: int
    calls: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    peers: set[str] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/m", host: str = "127.0.0.1") -> str:
        return f"grpc://{host}:{self.port}{path}"


@contextmanager
def grpc_serving(answers: Mapping[str, Answer], *, tls: bool = False) -> Iterator[GrpcServer]:
    """Serve methods by name on loopback until the block ends; one that is not there is unimplemented."""
    import grpc

    server: GrpcServer

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            name = details.method.removeprefix(f"{SERVICE}/")
            if name not in answers:
                return None

            def respond(body: bytes, context: Any) -> bytes:
                server.calls.append((name, body, dict(context.invocation_metadata())))
                server.peers.add(context.peer())
                return answers[name](body, context)

            return grpc.unary_unary_rpc_method_handler(respond)

    with ThreadPoolExecutor(8) as pool:
        library = grpc.server(pool, handlers=[Handler()], options=LONG)
        if tls:
            content = CERTIFICATE.read_bytes()
            port = library.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(content, content)]))
        else:
            port = library.add_insecure_port("127.0.0.1:0")
        server = GrpcServer(port)
        library.start()
        try:
            yield server
        finally:
            server.ended.set()
            library.stop(None).wait()


def grpc_oip(label_of: Callable[[str, str], str], **changed: Answer) -> dict[str, Answer]:
    """Return the methods of a sound server that labels pairs of texts by name, but for what is changed."""
    tensors = [message("Tensor", name=name, datatype="BYTES", shape=[-1]) for name in ("second", "first")]

    def infer(body: bytes, _: Any) -> bytes:
        request = read_message("ModelInferRequest", body)
        columns = {
            tensor.name: [text.decode() for text in tensor.contents.bytes_contents]
            for tensor in request.inputs
        }
        return labelled(*map(label_of, columns["first"], columns["second"]))

    return {
        "ServerReady": lambda *_: packed("ServerReadyResponse", ready=True),
        "ModelReady": lambda *_: packed("ModelReadyResponse", ready=True),
        "ServerMetadata": lambda *_: packed("ServerMetadataResponse", name="test", version="1.2"),
        "ModelMetadata": lambda *_: packed("ModelMetadataResponse", name="m", inputs=tensors),
        "ModelInfer": infer,
        **changed,
    }


def labelled(*labels: str) -> bytes:
    """Return an answer with these labels."""
    contents = message("Contents", bytes_contents=[label.encode() for label in labels])
    tensor = message("Tensor", name="label", datatype="BYTES", shape=[len(labels)], contents=contents)
    return packed("ModelInferResponse", model_name="m", outputs=[tensor])


def packed(name: str, /, **fields: object) -> bytes:
    """Return the bytes of a message."""
    return bytes(message(name, **fields).SerializeToString())
