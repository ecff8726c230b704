"""Calls the model that its argument names as any program with langchain-google-vertexai does, configured by its environment alone.

Prints what came back as one line of JSON. An error is the client's own, with exit code 1.
"""

import json
import sys

from langchain_google_vertexai.model_garden import ChatAnthropicVertex

client = ChatAnthropicVertex(model=sys.argv[1], max_retries=1)

message = client.invoke("Say hello.")
pieces = [chunk.text for chunk in client.stream("Say hello.")]
print(json.dumps({"message": message.text, "stream": [piece for piece in pieces if piece]}))
