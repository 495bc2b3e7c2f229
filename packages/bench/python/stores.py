"""Python's partd stores, doing the work of the suites `dict` and `file`."""

import os

import partd


def keys_of(count):
    return ["key-%d" % i for i in range(count)]


def value_of(size):
    return bytes(i * 7 % 251 for i in range(251)) * (size // 251 + 1)


def open_store(store, directory):
    return partd.Dict() if store == "Dict" else partd.File(os.path.join(directory, "data"))


def append_batches(directory, store, batches, keys, size, read=False):
    p = open_store(store, directory)
    names = keys_of(keys)
    value = value_of(size)[:size]
    yield
    for _ in range(batches):
        p.append({name: value for name in names})
    if read:
        p.get(names)
    yield


def append_singles(directory, store, count, keys, size):
    p = open_store(store, directory)
    names = keys_of(keys)
    value = value_of(size)[:size]
    yield
    for i in range(count):
        p.append({names[i % keys]: value})
    yield


def get_all(directory, store, keys, size):
    p = open_store(store, directory)
    names = keys_of(keys)
    value = value_of(size)[:size]
    p.append({name: value for name in names})
    yield
    values = p.get(names)
    yield
    assert all(len(v) == size for v in values)
