"""Python's partd.Buffer, doing the work of the suite `buffer`."""

import os

import partd


def gather_and_read(directory, batches, keys, size, bound):
    p = partd.Buffer(
        partd.Dict(), partd.File(os.path.join(directory, "data")), available_memory=bound
    )
    names = ["key-%d" % i for i in range(keys)]
    value = (bytes(i * 7 % 251 for i in range(251)) * (size // 251 + 1))[:size]
    data = {name: value for name in names}
    yield
    for _ in range(batches):
        p.append(data)
    p.flush()
    total = 0
    for i in range(0, keys, 1000):
        total += sum(map(len, p.get(names[i : i + 1000])))
    yield
    assert total == batches * keys * size
