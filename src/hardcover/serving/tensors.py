"""Tensors of the Open Inference Protocol: read into arrays by field, or into records where they are few; and those of an answer."""

import struct
from typing import Any, NamedTuple

from hardcover.serving.exchange import Refused

# Datatypes of the protocol, as numpy names them; little-endian, as the binary tensors are.
NUMBERS = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
MAX_ROWS = 1_000_000
_LENGTH = struct.Struct("<I")
# So many rows are quicker as records.
FEW = 16
_NUMBERS, _TEXTS, _NONE = frozenset((float, int)), frozenset((str,)), frozenset[type]()


def records(tensors: list[dict], rest: bytes) -> list[dict[str, Any]] | None:
    """Return the rows of a small request as records, which takes a tenth of the time of a table; None where they are many, or anything is unusual."""
    shape = tensors[0].get("shape")
    rows = shape[0] if type(shape) is list and shape else 0
    if type(rows) is not int or not 0 < rows <= FEW:
        return None
    found: dict[str, list] = {}
    at, shapes = 0, ([rows], [rows, 1])
    for tensor in tensors:
        name, datatype = tensor["name"], tensor.get("datatype")
        if tensor.get("shape") not in shapes or name in found:
            return None
        size = tensor["parameters"].get("binary_data_size") if "parameters" in tensor else None
        if size is None:
            values = tensor.get("data")
            kinds = _TEXTS if datatype == "BYTES" else _NUMBERS if datatype in NUMBERS else _NONE
            if type(values) is not list or not kinds.issuperset(map(type, values)):
                return None
        elif datatype == "FP64" and size == 8 * rows and at + size <= len(rest) and "data" not in tensor:
            # A missing number is NaN in tensors, and None in records.
            given = struct.unpack_from(f"<{rows}d", rest, at)
            values, at = [None if value != value else value for value in given], at + size
        elif (
            datatype == "BYTES" and type(size) is int and 0 <= size <= len(rest) - at and "data" not in tensor
        ):
            values, at = _texts(rest[at : at + size], rows, f"tensor {name[:60]!r}"), at + size
        else:
            return None
        if len(values) != rows:
            return None
        found[name] = values
    if at != len(rest):
        return None
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def arrays(asked: dict, rest: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the tensors of a request as arrays of shape [rows] by name, float64 or objects, and the bytes that follow the last binary one.

    Raises
    ------
    Refused
        With 400 where one does not hold what it says, 413 where it has over a million rows.
    """
    columns: dict[str, Any] = {}
    for tensor in asked["inputs"]:
        name = tensor["name"]
        if name in columns:
            raise Refused(400, f"the tensor {name[:60]!r} comes twice")
        columns[name], rest = _tensor(tensor, rest)
    sizes = {len(column) for column in columns.values()}
    if len(sizes) != 1:
        raise Refused(400, f"the tensors have different numbers of rows: {sorted(sizes)}")
    return columns, rest


def _tensor(tensor: dict, rest: bytes) -> tuple[Any, bytes]:
    try:
        import numpy as np
    except ImportError as error:
        raise Refused(501, "this service has no numpy, which tensors need; send records as JSON") from error
    name, shape, datatype = f"tensor {tensor['name'][:60]!r}", tensor.get("shape"), tensor.get("datatype")
    right = type(shape) is list and all(type(size) is int and size >= 0 for size in shape)
    if not right or not shape or any(size != 1 for size in shape[1:]):
        raise Refused(
            400, f"{name} has the shape {str(shape)[:60]}; fields have the shape [rows] or [rows, 1]"
        )
    rows = shape[0]
    if rows > MAX_ROWS:
        raise Refused(413, f"{rows} rows in one request; send at most {MAX_ROWS}")
    if datatype != "BYTES" and datatype not in NUMBERS:
        raise Refused(
            400, f"{name} has the datatype {str(datatype)[:60]!r}; known: BYTES, {', '.join(NUMBERS)}"
        )
    size = tensor.get("parameters", {}).get("binary_data_size")
    if size is not None:
        if type(size) is not int or not 0 <= size <= len(rest) or "data" in tensor:
            raise Refused(400, f"{name} has a 'binary_data_size' that does not fit the body")
        mine, rest = rest[:size], rest[size:]
        if datatype == "BYTES":
            return np.array(_texts(mine, rows, name), dtype=object), rest
        return _numbers(mine, datatype, rows, name), rest
    data = tensor.get("data")
    if type(data) is not list:
        raise Refused(400, f"{name} has no 'data', a list of values")
    flat = (
        [each for part in data for each in part]
        if data and all(type(part) is list for part in data)
        else data
    )
    if len(flat) != rows:
        raise Refused(400, f"{name} has {len(flat)} values and the shape {shape}")
    if datatype == "BYTES":
        if not all(each is None or type(each) is str for each in flat):
            raise Refused(400, f"{name} of BYTES has values that are no text")
        return np.array(flat, dtype=object), rest
    if not all(each is None or type(each) in (float, int, bool) for each in flat):
        raise Refused(400, f"{name} of {datatype} has values that are no numbers")
    # A number in JSON is a double; narrower datatypes are what the client declared.
    found = np.array([float("nan") if each is None else each for each in flat], dtype=np.float64)
    return found, rest


def _numbers(content: bytes, datatype: str, rows: int, name: str) -> Any:
    import numpy as np

    dtype = np.dtype(NUMBERS[datatype])
    if len(content) != rows * dtype.itemsize:
        raise Refused(
            400, f"{name} has {len(content)} bytes; {rows} of {datatype} are {rows * dtype.itemsize}"
        )
    return np.frombuffer(content, dtype).astype(np.float64)


def _texts(content: bytes, rows: int, name: str) -> list[str]:
    """Read texts, each after its length as four bytes, little-endian."""
    found: list[str] = []
    # Columns of texts hold few different ones.
    known: dict[bytes, str] = {}
    at, end = 0, len(content)
    while at + 4 <= end and len(found) <= rows:
        (size,) = _LENGTH.unpack_from(content, at)
        after = at + 4 + size
        if after > end:
            break
        given = content[at + 4 : after]
        text = known.get(given)
        if text is None:
            try:
                text = known[given] = given.decode()
            except UnicodeDecodeError as error:
                raise Refused(400, f"{name} has a text that is not UTF-8: {error}") from error
        found.append(text)
        at = after
    if at != len(content) or len(found) != rows:
        raise Refused(400, f"{name} of BYTES does not hold {rows} texts, each after its length")
    return found


class Output(NamedTuple):
    """One tensor of an answer, whose ``values`` are an array of float64 or bool, or a list, row by row."""

    name: str
    datatype: str
    shape: list[int]
    values: Any
    parameters: dict[str, Any] = {}  # noqa: RUF012

    def flat(self) -> list:
        """Return all values, row by row."""
        return self.values if isinstance(self.values, list) else self.values.ravel().tolist()

    def content(self) -> bytes:
        """Return the values as the protocol has them in bytes."""
        if self.datatype == "BYTES":
            return _packed(self.values)
        if isinstance(self.values, list):
            return struct.pack(f"<{len(self.values)}{'d' if self.datatype == 'FP64' else '?'}", *self.values)
        return self.values.tobytes()


def _packed(texts: list[str]) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)
