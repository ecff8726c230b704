"""Calls the model that its argument names as any program with langchain-google-genai does.

With --explicit it names Vertex, project and location in its code, as google_genai.py does, for the same reason.

Prints what came back as one line of JSON. An error is the client's own, with exit code 1.
"""

import json
import os
import sys

from langchain_google_genai import ChatGoogleGenerativeAI

settings = {"model": sys.argv[1], "max_retries": 1}
if "--explicit" in sys.argv:
    settings |= {
        "vertexai": True,
        "project": os.environ["GOOGLE_CLOUD_PROJECT"],
        "location": os.environ["GOOGLE_CLOUD_LOCATION"],
    }
client = ChatGoogleGenerativeAI(**settings)

message = client.invoke("Say hello.")
pieces = [chunk.text for chunk in client.stream("Say hello.")]
print(json.dumps({"message": message.text, "stream": [piece for piece in pieces if piece]}))
