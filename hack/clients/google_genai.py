"""Calls the model that its argument names as any program with google-genai does, configured by its environment alone.

With --explicit it names Vertex, project and location in its code: without that, this client does not follow
GOOGLE_VERTEX_BASE_URL (or follows it and forgets the rest).

Prints what came back as one line of JSON. An error is the client's own, with exit code 1.
"""

import json
import os
import sys

from google import genai

model = sys.argv[1]
if "--explicit" in sys.argv:
    client = genai.Client(
        vertexai=True,
        project=os.environ["GOOGLE_CLOUD_PROJECT"],
        location=os.environ["GOOGLE_CLOUD_LOCATION"],
    )
else:
    client = genai.Client()

message = client.models.generate_content(model=model, contents="Say hello.")
stream = client.models.generate_content_stream(model=model, contents="Say hello.")
pieces = [chunk.text for chunk in stream]
count = client.models.count_tokens(model=model, contents="Say hello.")
print(
    json.dumps(
        {
            "message": message.text,
            "usage": message.usage_metadata.candidates_token_count,
            "stream": pieces,
            "count": count.total_tokens,
        }
    )
)
