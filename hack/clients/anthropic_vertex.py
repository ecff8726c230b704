"""Calls the model that its argument names as any program with anthropic[vertex] does, configured by its environment alone.

Prints what came back as one line of JSON. An error is the client's own, with exit code 1.
"""

import json
import sys

from anthropic import AnthropicVertex

model = sys.argv[1]
prompt = {"model": model, "messages": [{"role": "user", "content": "Say hello."}]}
client = AnthropicVertex()

message = client.messages.create(max_tokens=64, **prompt)
with client.messages.stream(max_tokens=64, **prompt) as stream:
    pieces = list(stream.text_stream)
count = client.messages.count_tokens(**prompt)
print(
    json.dumps(
        {
            "message": message.content[0].text,
            "usage": message.usage.output_tokens,
            "stream": pieces,
            "count": count.input_tokens,
        }
    )
)
