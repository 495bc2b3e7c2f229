"""Writes a data set with every codec of Python's partd, or checks one that was written for it.

usage: interop.py write|check DIRECTORY
"""

import datetime
import os
import sys

import numpy as np
import partd

utc = datetime.timezone.utc

# Each value is appended twice.
lists = {
    "plain": [None, True, 1, -1, 2**40, 2**60, 0.5, "Grüße 🌍", b"\x00\xff", [1, [2]], {"a": {"b": 1}}],
    "many": list(range(3000)),
}
pickles = dict(
    lists,
    python=[(1, (2, "x")), {1: "one"}, {1, 2}, 2**100, -(2**70),
            datetime.datetime(2001, 1, 14, 21, 55, 1, 234567),
            datetime.datetime(2001, 1, 14, 21, 55, tzinfo=utc)],
)
arrays = {
    "i1": np.array([-1, 2], "i1"),
    "u1": np.array([255, 2], "u1"),
    "i2": np.array([-1, 2], "i2"),
    "u2": np.array([65535, 2], "u2"),
    "i4": np.array([-1, 2], "i4"),
    "u4": np.array([2**32 - 1, 2], "u4"),
    "i8": np.array([-(2**63), 2], "i8"),
    "u8": np.array([2**64 - 1, 2], "u8"),
    "f2": np.array([0.5, -2], "f2"),
    "f4": np.array([0.5, -2], "f4"),
    "f8": np.array([0.1, -2], "f8"),
    "big-f8": np.array([0.1, -2], ">f8"),
    "big-i4": np.array([-1, 2], ">i4"),
    "bool": np.array([True, False]),
    "c8": np.array([1 - 2j], "c8"),
    "c16": np.array([1 - 2j], "c16"),
    "M8": np.array(["2001-01-14T21:55:00.123456789"], "M8[ns]"),
    "m8": np.array([90, -1], "m8[s]"),
    "object": np.array(["a", None, "Grüße", 1.5], dtype="O"),
}
text = {"text": "Grüße 🌍\n".encode()}


def towers(directory):
    def file(name):
        return partd.File(os.path.join(directory, name))

    yield partd.Pickle(partd.BZ2(file("pickle-bz2"))), pickles
    yield partd.Pickle(file("pickle")), pickles
    yield partd.Python(partd.Snappy(file("msgpack-snappy"))), lists
    yield partd.Python(file("msgpack")), lists
    yield partd.Numpy(partd.ZLib(file("numpy-zlib"))), arrays
    yield partd.Numpy(file("numpy")), arrays
    yield file("text"), text


def check(p, key, value):
    got = p.get(key)
    if isinstance(value, np.ndarray):
        expected = np.concatenate([value, value])
        assert got.dtype.str == value.dtype.str, (key, got.dtype, value.dtype)
        assert got.tolist() == expected.tolist(), (key, got, expected)
    else:
        assert got == value + value, (key, got, value)


def main(mode, directory):
    for p, values in towers(directory):
        for key, value in values.items():
            if mode == "write":
                p.append({key: value})
                p.append({key: value})
            else:
                check(p, key, value)
    print("done")


main(*sys.argv[1:])
