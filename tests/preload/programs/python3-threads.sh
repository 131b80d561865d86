#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# CPython with threads, a process pool by fork and by spawn, shared memory, subprocesses, asyncio.
# needs: /usr/bin/python3

cat >case.py <<'PY'
import asyncio, concurrent.futures, hashlib, multiprocessing, queue, subprocess, threading
from multiprocessing import shared_memory

def work(n):
    parts = [b"%d" % (i * n) * (i % 50) for i in range(3000)]
    return hashlib.sha256(b"".join(sorted(parts))).hexdigest()[:12]

def produce(q, k):
    for i in range(2000):
        q.put(bytearray(100 + (i * k) % 5000))

async def many():
    async def one(i):
        await asyncio.sleep(0)
        return len(bytes(i))
    return sum(await asyncio.gather(*(one(i) for i in range(3000))))

if __name__ == "__main__":
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        print(*pool.map(work, range(16)))
    q, total = queue.Queue(50), 0
    threads = [threading.Thread(target=produce, args=(q, k)) for k in range(1, 5)]
    for t in threads: t.start()
    for _ in range(8000): total += len(q.get())
    for t in threads: t.join()
    print(total)
    for method in "fork", "spawn":
        with multiprocessing.get_context(method).Pool(3) as pool:
            print(method, *pool.map(work, range(8)))
    shm = shared_memory.SharedMemory(create=True, size=4 << 20)
    shm.buf[:5] = b"hello"
    print(bytes(shm.buf[:5])); shm.close(); shm.unlink()
    print([subprocess.run(["echo", str(i)], capture_output=True, text=True).stdout for i in range(20)])
    print(asyncio.run(many()))
PY
/usr/bin/python3 case.py
