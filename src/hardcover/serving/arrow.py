"""Tables on the wire: streams of Arrow IPC (https://arrow.apache.org/docs/format/Columnar.html)."""

from typing import Any

from hardcover.serving.exchange import Refused


def table(body: bytes) -> Any:
    """Return the ``pyarrow.Table`` that a body holds.

    Raises
    ------
    Refused
        With 501 where there is no pyarrow, 400 where the body is no stream of Arrow.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise Refused(501, "this service has no pyarrow; send JSON or the Open Inference Protocol") from error
    try:
        with pa.ipc.open_stream(body) as reader:
            found = reader.read_all()
            found.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Refused(400, f"the body is no Arrow stream: {str(error)[:200]}") from error
    return found


def stream(columns: dict[str, Any]) -> bytes:
    """Return columns, arrays or lists by name, as a stream of Arrow."""
    import pyarrow as pa

    found = pa.table({name: pa.array(values) for name, values in columns.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.schema) as writer:
        writer.write_table(found)
    return sink.getvalue().to_pybytes()


def columns(table: Any) -> dict[str, Any]:
    """Return a table's columns as JSON can hold them, without a copy where one is of numbers and none is missing."""
    import pyarrow as pa

    found = {}
    for name in table.column_names:
        column = table[name]
        is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        found[name] = column.to_numpy() if is_number and not column.null_count else column.to_pylist()
    return found
