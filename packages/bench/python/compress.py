"""Python's partd compressions over its Dict, doing the work of the suite `compress`."""

import json
import os
import struct
import time

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


def rates(name, data, folder, rounds):
    """Prints MB/s to compress and to decompress: the lower quartile of single values."""
    value = real_value(folder, data)
    p = getattr(partd, name)(partd.Dict())
    p.append({"x": value})
    works = [lambda: getattr(partd, name)(partd.Dict()).append({"x": value}), lambda: p.get("x")]
    seconds = [[], []]
    for _ in range(int(rounds)):
        for i, work in enumerate(works):
            start = time.perf_counter()
            work()
            seconds[i].append(time.perf_counter() - start)
    print(json.dumps([len(value) / 1e6 / sorted(one)[len(one) // 4] for one in seconds]))
