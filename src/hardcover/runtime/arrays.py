"""Flat arrays in one file, in the safetensors layout, checked before the first number is used.

The layout (https://huggingface.co/docs/safetensors, "Format"): eight bytes, little-endian, give the length of
a JSON header; the header gives each array's dtype, shape and byte range; the arrays follow without gaps.
Only one-dimensional arrays are used here. Reading needs no numpy.
"""

import json
import struct
import sys
from collections.abc import Sequence

# dtype name in the file -> (format of memoryview.cast, bytes)
KINDS = {"F64": ("d", 8), "U64": ("Q", 8), "U32": ("I", 4), "U16": ("H", 2), "U8": ("B", 1)}
MAX_HEADER = 1 << 20


class DamagedRelease(ValueError):
    """A file inside a release that is missing, changed or malformed; the message names it."""


def parse(content: memoryview | bytes, path: str = "bytes") -> tuple[dict[str, memoryview], dict[str, str]]:
    """Return the arrays and metadata in the content of a file; the arrays are views of it.

    Raises
    ------
    DamagedRelease
        When anything about the content is not as the layout asks; names ``path``.
    """
    if sys.byteorder != "little":
        raise DamagedRelease(f"{path} holds little-endian numbers; this machine is big-endian")
    content = memoryview(content)
    header, start = _header(content, path)
    metadata = header.pop("__metadata__", {})
    if not _is_text_map(metadata):
        raise DamagedRelease(f"{path}: the metadata are not a mapping of strings")
    arrays, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: _offsets(item, path)):
        kind, count = _entry(name, entry, path)
        code, width = KINDS[kind]
        first, last = entry["data_offsets"]
        if first != end or last - first != count * width or start + last > len(content) or first % width:
            raise DamagedRelease(f"{path}: array {name!r} lies at {first}-{last}, not where its size says")
        arrays[name] = content[start + first : start + last].cast(code)
        end = last
    if start + end != len(content):
        raise DamagedRelease(f"{path}: {len(content) - start - end} bytes after the last array")
    return arrays, metadata


def _header(content: memoryview, path: str) -> tuple[dict, int]:
    if len(content) < 8:
        raise DamagedRelease(f"{path}: {len(content)} bytes are too few for a header")
    (length,) = struct.unpack("<Q", content[:8])
    if length > min(MAX_HEADER, len(content) - 8) or length % 8:
        raise DamagedRelease(f"{path}: a header of {length} bytes does not fit")
    try:
        header = json.loads(bytes(content[8 : 8 + length]))
    except (ValueError, RecursionError) as error:
        raise DamagedRelease(f"{path}: the header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise DamagedRelease(f"{path}: the header is not an object")
    return header, 8 + length


def _is_text_map(metadata: object) -> bool:
    return isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())


def _is_count(number: object) -> bool:
    return type(number) is int and 0 <= number < 1 << 40


def _offsets(item: tuple[str, object], path: str) -> tuple[int, int]:
    name, entry = item
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(map(_is_count, offsets))):
        raise DamagedRelease(f"{path}: array {name!r} has no valid offsets")
    return offsets[0], offsets[1]


def _entry(name: str, entry: dict, path: str) -> tuple[str, int]:
    kind, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(kind, str) or kind not in KINDS:
        raise DamagedRelease(f"{path}: array {name!r} has the unknown dtype {str(kind)[:20]!r}")
    if not (isinstance(shape, list) and len(shape) == 1 and _is_count(shape[0])):
        raise DamagedRelease(f"{path}: array {name!r} is not one-dimensional")
    return kind, shape[0]


def packed(row: Sequence[float] | bytes, features: int) -> bytes:
    """Return a row as the bytes of float64.

    Raises
    ------
    ValueError
        When it has another number of features.
    """
    if type(row) is not bytes:
        try:
            view = memoryview(row)
        except TypeError:
            row = struct.pack(f"={len(row)}d", *row)
        else:
            row = view.tobytes() if view.format == "d" else struct.pack(f"={len(view)}d", *view.tolist())
    if len(row) != 8 * features:
        raise ValueError(f"a row has {features} numbers of 8 bytes, not {len(row)} bytes")
    return row
