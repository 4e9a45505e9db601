#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many connections at once: each sends bytes of its own, half closes, and gets them back with their digest."""
import asyncio
import hashlib
import random
import sys


async def one(i):
    rng = random.Random(i)
    data = rng.randbytes(rng.choice([1, 1000, 70000, 2_000_000]))
    reader, writer = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))

    async def send():
        at = 0
        while at < len(data):
            n = rng.randint(1, 100000)
            writer.write(data[at:at + n])
            await writer.drain()
            at += n
        writer.write_eof()

    sender = asyncio.create_task(send())
    got = await reader.read(-1)
    await sender
    writer.close()
    return got == data + hashlib.sha256(data).hexdigest().encode()


async def main():
    right = await asyncio.gather(*(one(i) for i in range(60)))
    print(sum(right), "of", len(right), "right")


asyncio.run(asyncio.wait_for(main(), 60))
