"""A server of the Model Context Protocol that needs a credential, as real ones do: it reads a variable when it starts, and a file
whenever it is asked. Its one tool tells digests of what it holds, so that nobody has to see the credential to know which it is.

    server.py TRANSPORT PORT     TRANSPORT: sse (at /sse) or streamable-http (at /mcp); on 127.0.0.1
"""

import hashlib
import os
import pathlib
import sys

from mcp.server.mcpserver import MCPServer

transport, port = sys.argv[1:]
token = os.environ["GITHUB_PERSONAL_ACCESS_TOKEN"]
file = pathlib.Path(os.environ["CREDENTIAL_FILE"])

server = MCPServer("credential")


@server.tool()
def held() -> dict[str, str]:
    """Which credential this server holds, as SHA-256 digests."""
    return {
        "variable": hashlib.sha256(token.encode()).hexdigest(),
        "file": hashlib.sha256(file.read_bytes()).hexdigest(),
    }


server.run(transport, host="127.0.0.1", port=int(port))
