"""Python's partd Client, over zmq to a Server in a process of its own."""

import multiprocessing

import partd
from partd.zmq import Client, Server

from stores import keys_of, value_of


def serve(addresses):
    server = Server(partd.Dict(), hostname="127.0.0.1")
    addresses.put(server.address)
    server.block()


class Served:
    def __init__(self):
        context = multiprocessing.get_context("fork")
        addresses = context.Queue()
        self.process = context.Process(target=serve, args=(addresses,), daemon=True)
        self.process.start()
        self.client = Client(addresses.get(timeout=20))

    def close(self):
        self.process.terminate()
        self.process.join()
        self.client.context.destroy(0)


def settle(p, name):
    """An append returns before it is carried out; an answer comes after all that was sent."""
    p.get([name])


def append_batches(directory, batches, keys, size):
    served = Served()
    p = served.client
    names = keys_of(keys)
    value = value_of(size)[:size]
    data = {name: value for name in names}
    settle(p, "other")
    yield
    for _ in range(batches):
        p.append(data)
    settle(p, "other")
    yield
    served.close()


def append_large(directory, count, keys, size):
    served = Served()
    p = served.client
    names = keys_of(keys)
    value = value_of(size)[:size]
    settle(p, "other")
    yield
    for i in range(count):
        p.append({names[i % keys]: value})
    settle(p, "other")
    yield
    served.close()


def append_singles(directory, count, keys, size):
    yield from append_large(directory, count, keys, size)


def get_all(directory, batches, keys, size, gets):
    served = Served()
    p = served.client
    names = keys_of(keys)
    value = value_of(size)[:size]
    for _ in range(batches):
        p.append({name: value for name in names})
    settle(p, "other")
    yield
    for _ in range(gets):
        values = p.get(names)
    yield
    assert all(len(v) == batches * size for v in values)
    served.close()
