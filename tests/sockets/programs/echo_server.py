#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An asyncio server that sends back what it gets, until the end; then the digest of all of it."""
import asyncio
import hashlib
import sys


async def serve(reader, writer):
    digest = hashlib.sha256()
    while data := await reader.read(65536):
        digest.update(data)
        writer.write(data)
        await writer.drain()
    writer.write(digest.hexdigest().encode())
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", int(sys.argv[1]), backlog=512)
    async with server:
        await server.serve_forever()


asyncio.run(main())
