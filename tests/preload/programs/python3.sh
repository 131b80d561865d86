#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# CPython: big structures, json, re, pickle, zlib, hashlib, decimal, sqlite3, ctypes calling malloc itself.
# needs: /usr/bin/python3

cat >case.py <<'PY'
import ctypes, decimal, gc, hashlib, json, pickle, random, re, sqlite3, struct, zlib

rng = random.Random(7)
data = {str(i): {"n": i, "s": "x" * (i % 97), "l": [rng.randrange(1000) for _ in range(20)]} for i in range(40000)}
text = json.dumps(data)
print(len(text), hashlib.sha256(text.encode()).hexdigest(), json.loads(text) == data)
print(zlib.crc32(pickle.dumps(data, protocol=2)))
print(len(re.findall(r'"s": "(x{90,})"', text)))
data.clear(); gc.collect()
decimal.getcontext().prec = 500
print(decimal.Decimal(2).sqrt())
print(hashlib.md5(str(3 ** 60000).encode() if not hasattr(__import__("sys"), "set_int_max_str_digits")
                  else hex(3 ** 60000).encode()).hexdigest())

db = sqlite3.connect(":memory:")
db.execute("create table t(a integer primary key, b text)")
db.executemany("insert into t values(?, ?)", ((i, "%08x" % (i * 2654435761 % 2 ** 32)) for i in range(50000)))
print(db.execute("select count(*), min(b), max(b), sum(length(b)) from t where b like '%7f%'").fetchone())

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.realloc.restype = libc.calloc.restype = libc.aligned_alloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.calloc.argtypes = libc.aligned_alloc.argtypes = [ctypes.c_size_t] * 2
libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.malloc_usable_size.argtypes = [ctypes.c_void_p]
libc.malloc_usable_size.restype = ctypes.c_size_t
for size in 0, 1, 100, 5000, 70000, 3 << 20:
    p = libc.malloc(size)
    ctypes.memset(p, 0x5A, size)
    q = libc.realloc(p, 2 * size + 1)
    print(size, ctypes.string_at(q, size) == b"Z" * size, libc.malloc_usable_size(q) > 2 * size)
    libc.free(q)
    z = libc.calloc(3, size + 1)
    print(not any(ctypes.string_at(z, 3 * size + 3)))
    libc.free(z)
for shift in range(3, 22):
    p = libc.aligned_alloc(1 << shift, 1 << shift)
    assert p % (1 << shift) == 0
    libc.free(p)
big = [bytearray(struct.pack("<Q", i) * 4096) for i in range(1000)]
del big[::2]
print(sum(b[0] for b in big), len(big))
PY
/usr/bin/python3 case.py
