"""The case's wheel behind gRPC's own server and behind MLServer; run by ``serving_grpc.py`` in the peers' environments.

    python serving_grpc_peers.py grpcio PORT
    python serving_grpc_peers.py mlserver PORT

Each answers ``ModelInfer`` with a tensor for each field by the tensors ``score`` and ``label``, as ours does.
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


def by_mlserver(port: str) -> None:
    """Become MLServer, in one process."""
    folder = Path(tempfile.mkdtemp())
    ports = {"grpc_port": int(port), "http_port": int(port) - 1, "metrics_port": int(port) - 2}
    (folder / "settings.json").write_text(json.dumps({"parallel_workers": 0, "debug": False, **ports}))
    model = {"name": "maintenance", "implementation": "serving_mlserver.Wheel"}
    (folder / "model-settings.json").write_text(json.dumps(model))
    program = Path(sys.executable).parent / "mlserver"
    os.execv(program, [str(program), "start", str(folder)])


if __name__ == "__main__":
    if sys.argv[1] == "grpcio":
        asyncio.run(by_grpcio(sys.argv[2]))
    else:
        by_mlserver(sys.argv[2])
