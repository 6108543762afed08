"""The case's wheel behind servers of models; run by ``serving.py`` and ``serving_grpc.py`` in the peers' environments.

    python serving_servers.py grpcio PORT
    python serving_servers.py mlserver GRPC HTTP
    python serving_servers.py ray HTTP WHEEL
    python serving_servers.py constant HTTP

The first two answer a tensor for each field by the tensors ``score`` and ``label``, as ours does; on Ray it is our own application. The last
reads nothing of what it is asked: what is left is the event loop's and the kernel's.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path


def fields(tensors) -> dict:
    """Return a record of tensors with one row, whose numbers and texts are raw or typed contents."""
    return {each.name: (each.contents.bytes_contents or each.contents.fp64_contents)[0] for each in tensors}


async def by_grpcio(port: str) -> None:
    """Serve by grpc.aio."""
    import grpc
    from casebook_maintenance import model

    from hardcover.serving.messages import INFERENCE, message_of

    asked, returned = (message_of(INFERENCE, f"ModelInfer{kind}") for kind in ("Request", "Response"))

    async def infer(request, _):
        record = fields(request.inputs)
        record["quality"] = record["quality"].decode()
        found = model.predict(record)
        answer = returned(model_name="maintenance", id=request.id)
        answer.outputs.add(name="score", datatype="FP64", shape=[1]).contents.fp64_contents.append(
            found.score
        )
        answer.outputs.add(name="label", datatype="BOOL", shape=[1]).contents.bool_contents.append(
            found.label
        )
        return answer

    handler = grpc.unary_unary_rpc_method_handler(
        infer, request_deserializer=asked.FromString, response_serializer=returned.SerializeToString
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(INFERENCE, {"ModelInfer": handler}),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def by_mlserver(calls: str, web: str) -> None:
    """Become MLServer, in one process."""
    folder = Path(tempfile.mkdtemp())
    ports = {"grpc_port": int(calls), "http_port": int(web), "metrics_port": int(web) + 10}
    (folder / "settings.json").write_text(json.dumps({"parallel_workers": 0, "debug": False, **ports}))
    model = {"name": "maintenance", "implementation": "serving_mlserver.Wheel"}
    (folder / "model-settings.json").write_text(json.dumps(model))
    program = Path(sys.executable).parent / "mlserver"
    os.execv(program, [str(program), "start", str(folder)])


def by_ray(port: str, wheel: str) -> None:
    """Serve by one replica on Ray."""
    import ray
    from ray import serve

    from hardcover.serving.on_ray import application

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(port), "access_log": False})
    serve.run(application({"wheel": wheel}), route_prefix="/", blocking=True)


class Constant(asyncio.Protocol):
    """Answers whatever comes by the same bytes."""

    ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 71\r\n\r\n" + b" " * 71

    def connection_made(self, transport) -> None:
        """Begin."""
        self.transport = transport

    def data_received(self, _: bytes) -> None:
        """Answer."""
        self.transport.write(self.ANSWER)


async def by_constant(port: str) -> None:
    """Serve a constant."""
    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", int(port))
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "grpcio":
        asyncio.run(by_grpcio(*sys.argv[2:]))
    elif sys.argv[1] == "constant":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(by_constant(*sys.argv[2:]))
    elif sys.argv[1] == "mlserver":
        by_mlserver(*sys.argv[2:])
    else:
        by_ray(*sys.argv[2:])
