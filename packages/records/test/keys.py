"""The key encoding, hash and partition of @partd/records in Python: reads lines of JSON
{"key": ..., "partitions": n}, writes lines {"bytes": hex, "hash": hex, "partition": p}.

In the input {"$": "undefined"}, {"$": "bigint", "of": "12"}, {"$": "date", "of": 12},
{"$": "bytes", "of": hex} and {"$": "number", "of": "NaN"} stand for what JSON has not.
"""

import decimal
import json
import math
import struct
import sys

M = 2**64 - 1
P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P4, P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def rotl(x, bits):
    return ((x << bits) | (x >> (64 - bits))) & M


def lane(acc, value):
    return rotl((acc + value * P2) & M, 31) * P1 & M


def xxh64(data, seed=0):
    at = 0
    if len(data) >= 32:
        lanes = [(seed + P1 + P2) & M, (seed + P2) & M, seed, (seed - P1) & M]
        while at + 32 <= len(data):
            lanes = [lane(a, v) for a, v in zip(lanes, struct.unpack_from("<4Q", data, at))]
            at += 32
        h = sum(rotl(a, r) for a, r in zip(lanes, (1, 7, 12, 18))) & M
        for a in lanes:
            h = ((h ^ lane(0, a)) * P1 + P4) & M
    else:
        h = (seed + P5) & M
    h = (h + len(data)) & M
    while at + 8 <= len(data):
        h = (rotl(h ^ lane(0, struct.unpack_from("<Q", data, at)[0]), 27) * P1 + P4) & M
        at += 8
    if at + 4 <= len(data):
        h = (rotl(h ^ struct.unpack_from("<I", data, at)[0] * P1 & M, 23) * P2 + P3) & M
        at += 4
    for byte in data[at:]:
        h = rotl(h ^ byte * P5 & M, 11) * P1 & M
    h = (h ^ h >> 33) * P2 & M
    h = (h ^ h >> 29) * P3 & M
    return h ^ h >> 32


def number(x):
    """As JavaScript writes it: the shortest digits, an exponent below 1e-6 and from 1e21 on."""
    if isinstance(x, int):
        x = float(x)
    if x == 0:
        return "0"
    if 1e-6 <= abs(x) < 1e21:
        digits = format(decimal.Decimal(repr(x)), "f")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    mantissa, exponent = repr(x).split("e")
    return "%se%+d" % (mantissa.removesuffix(".0"), int(exponent))


def encode(key):
    text = json_text(key)
    if text is not None:
        return text.encode()
    if isinstance(key, int):
        return b"\1" + str(key).encode()
    if isinstance(key, list):
        items = [encode(item) for item in key]
        return b"\4" + b"".join(struct.pack(">I", len(item)) + item for item in items)
    kind, of = key["$"], key.get("of")
    if kind == "undefined":
        return b"\0"
    if kind == "bytes":
        return b"\3" + bytes.fromhex(of)
    return {"bigint": b"\1", "date": b"\2", "number": b"\5"}[kind] + str(of).encode()


def json_text(key):
    if key is None or isinstance(key, (bool, str)):
        return json.dumps(key, ensure_ascii=False)
    if isinstance(key, int) and int(decimal.Decimal(repr(float(key)))) != key:
        return None  # The double is written as another integer.
    if isinstance(key, (int, float)):
        return number(key) if math.isfinite(key) else None
    if isinstance(key, list):
        items = [json_text(item) for item in key]
        return None if None in items else "[" + ",".join(items) + "]"
    return None


for line in sys.stdin:
    case = json.loads(line)
    data = encode(case["key"])
    h = xxh64(data)
    partition = (h >> 32) * case["partitions"] >> 32
    print(json.dumps({"bytes": data.hex(), "hash": "%016x" % h, "partition": partition}))
