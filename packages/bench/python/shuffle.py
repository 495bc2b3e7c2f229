"""Lines by user into 64 files, by a script on Python's partd in batches of 20,000."""

import json
import sys
import zlib

import partd

events, directory = sys.argv[1:]
store = partd.File(directory)


def append(lines):
    parts = {}
    for line in lines:
        user = json.loads(line)["user"]
        parts.setdefault(str(zlib.crc32(user.encode()) % 64), []).append(line)
    store.append({key: b"".join(part) for key, part in parts.items()})


with open(events, "rb") as file:
    batch = []
    for line in file:
        batch.append(line)
        if len(batch) == 20_000:
            append(batch)
            batch = []
    append(batch)
