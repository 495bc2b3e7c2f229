"""Python's partd codecs over its stores, doing the work of the suite `codecs`."""

import json
import os

import partd


def record_lists(folder, data):
    if data == "flights":
        with open(os.path.join(folder, "flights-20k.json")) as f:
            records, count = json.load(f), 20
    else:
        with open(os.path.join(folder, "earthquakes.json")) as f:
            records, count = json.load(f)["features"] * 6, 10
    return [records[i * 1000 : (i + 1) * 1000] for i in range(count)]


def work(p, values, direction, passes=1):
    if direction == "get":
        for value in values:
            p.append({"x": value})
    yield
    for n in range(passes):
        if direction == "get":
            p.get("x")
        else:
            for value in values:
                p.append({"x%d" % n: value})
    yield


def records(directory, name, data, direction, folder, passes):
    yield from work(getattr(partd, name)(partd.Dict()), record_lists(folder, data), direction, passes)


def arrays(directory, direction, appends, numbers, file):
    import numpy as np

    store = partd.File(os.path.join(directory, "data")) if file else partd.Dict()
    array = np.arange(numbers, dtype="f8") / 2**20
    yield from work(partd.Numpy(store), [array] * appends, direction)


def tables(directory, direction, rows, appends, passes, folder):
    import pandas as pd
    from partd.pandas import PandasBlocks

    with open(os.path.join(folder, "flights-20k.json")) as f:
        frame = pd.DataFrame(json.load(f))
    frame = frame.astype({"delay": "int16", "distance": "int16", "origin": "category",
                          "destination": "category"})
    slices = [frame.iloc[i * rows : (i + 1) * rows] for i in range(appends)]
    yield from work(PandasBlocks(partd.Dict()), slices, direction, passes)
