"""Python's partd compressions over its Dict, doing the work of the suite `compress`."""

import os
import struct

import partd


def real_value(folder, data):
    def read(name):
        with open(os.path.join(folder, name), "rb") as f:
            return f.read()

    if data == "text":
        return read("birdstrikes.csv")[: 2**20]
    if data == "json":
        return read("flights-20k.json")[: 2**20]
    rows = [row.split(",") for row in read("zipcodes.csv").decode().strip().split("\n")[1:]]
    numbers = [float(row[column]) for column in (1, 2) for row in rows]
    return struct.pack("<%dd" % len(numbers), *numbers)


def convert(directory, name, data, direction, folder, values):
    p = getattr(partd, name)(partd.Dict())
    value = real_value(folder, data)
    keys = ["key-%d" % i for i in range(values)]
    if direction == "decompress":
        for key in keys:
            p.append({key: value})
    yield
    for key in keys:
        if direction == "compress":
            p.append({key: value})
        else:
            p.get(key)
    yield
