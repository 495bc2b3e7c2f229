"""Python's partd File, doing the work of the suite `keys`."""

import os
import random
import resource

import partd

from stores import value_of


def fill(directory, keys, batches, batch, size):
    p = partd.File(os.path.join(directory, "data"))
    value = value_of(size)[:size]
    for _ in range(batches):
        data = {}
        for _ in range(batch):
            data.setdefault("key-%d" % random.randrange(keys), []).append(value)
        p.append({key: b"".join(values) for key, values in data.items()})
    return p


def resident():
    return {"resident": "%.0f MiB" % (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


def append(directory, keys, batches, batch, size):
    yield
    fill(directory, keys, batches, batch, size)
    yield resident()


def read(directory, keys, batches, batch, size):
    p = fill(directory, keys, batches, batch, size)
    yield
    total = 0
    for i in range(0, keys, 1000):
        total += sum(map(len, p.get(["key-%d" % k for k in range(i, min(keys, i + 1000))])))
    yield resident()
    assert total == batches * batch * size
