"""The service: released wheels behind HTTP, with the wheel's bits on the wire.

- `app.App` answers requests, whatever carries them; it knows no socket.
- `http` and `carrier` carry them by HTTP/1.1 on an event loop; `asgi` lets uvicorn, hypercorn or granian do so.
- `supervisor` owns sockets and workers, and swaps releases while requests come in.

Needs the runtime and settings, `httptools`, `orjson` and `uvloop`; none of Kedro, pandas, MLflow or LightGBM.
"""

__all__: list[str] = []
