"""The model file: what was written is read, and nothing else is."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.forest import flatten
from hardcover.runtime import arrays
from hardcover.runtime.arrays import DamagedRelease

numbers = {
    "F64": st.floats(allow_nan=False),
    "U64": st.integers(0, 2**64 - 1),
    "U32": st.integers(0, 2**32 - 1),
    "U8": st.integers(0, 255),
}
contents = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8),
    st.sampled_from(sorted(numbers)).flatmap(
        lambda kind: st.tuples(st.just(kind), st.lists(numbers[kind], max_size=9))
    ),
    max_size=5,
)


@given(contents, st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_what_is_written_is_read(content, metadata):
    content.pop("__metadata__", None)

    found, said = arrays.parse(flatten.write(content, metadata))

    assert {name: list(values) for name, values in found.items()} == {
        name: values for name, (_, values) in content.items()
    }
    assert said == metadata


GOOD = flatten.write({"a": ("F64", [1.0, 2.0]), "b": ("U8", [1, 2, 3])}, {"format": "1"})


@given(st.integers(0, len(GOOD) - 1))
def test_a_truncated_file_is_refused(length):
    with pytest.raises(DamagedRelease):
        arrays.parse(GOOD[:length])


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_changes_nothing_but_a_number(place, flip):
    damaged = bytearray(GOOD)
    damaged[place] ^= flip

    try:
        found, _ = arrays.parse(bytes(damaged))
    except DamagedRelease:
        return
    assert all(len(values) <= 19 for values in found.values())


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (b"[]", "not an object"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,16]}}', "not where its size says"),
        (b'{"a":{"dtype":"F64","shape":[9],"data_offsets":[0,72]}}', "not where its size says"),
        (b'{"a":{"dtype":"F64","shape":[1],"data_offsets":[8,16]}}', "not where its size says"),
        (b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,8]}}', "unknown dtype 'F99'"),
        (b'{"a":{"dtype":["F64"],"shape":[1],"data_offsets":[0,8]}}', "unknown dtype"),
        (b'{"a":{"dtype":"F64","shape":[1,1],"data_offsets":[0,8]}}', "not one-dimensional"),
        (b'{"a":{"dtype":"F64","shape":[true],"data_offsets":[0,8]}}', "not one-dimensional"),
        (b'{"a":{"dtype":"F64","shape":[1],"data_offsets":[-8,0]}}', "no valid offsets"),
        (b'{"a":7}', "no valid offsets"),
        (b'{"__metadata__":{"a":1}}', "not a mapping of strings"),
        (b"{}", "bytes after the last array"),
    ],
)
def test_a_lying_header_is_refused_by_name(header, complaint):
    header += b" " * (-len(header) % 8)

    with pytest.raises(DamagedRelease, match=complaint):
        arrays.parse(struct.pack("<Q", len(header)) + header + bytes(8))
