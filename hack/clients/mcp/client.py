"""An agent that uses a server of the Model Context Protocol: calls its tool `held` and prints the result as one line of JSON, once
at the start and then once for each line of standard input.

    client.py TRANSPORT URL     TRANSPORT: sse or streamable-http
"""

import asyncio
import json
import sys

from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

TRANSPORTS = {"sse": sse_client, "streamable-http": streamable_http_client}


async def main(transport: str, url: str) -> None:
    while True:
        # Anew each time: a server that is restarted has forgotten its sessions.
        async with Client(TRANSPORTS[transport](url)) as client:
            result = await client.call_tool("held", {})
            print(json.dumps(result.structured_content), flush=True)
        if not await asyncio.to_thread(sys.stdin.readline):
            return


asyncio.run(main(*sys.argv[1:]))
