"""Calls the model that its argument names as any program with LiteLLM does, configured by its environment alone.

Prints what came back as one line of JSON. An error is the client's own, with exit code 1.
"""

import json
import sys

import litellm

# Else it advertises its documentation on standard output.
litellm.suppress_debug_info = True

model = f"vertex_ai/{sys.argv[1]}"
messages = [{"role": "user", "content": "Say hello."}]
# Otherwise it tries again, and waits.
once = {"max_tokens": 64, "num_retries": 0}

message = litellm.completion(model=model, messages=messages, **once)
stream = litellm.completion(model=model, messages=messages, stream=True, **once)
pieces = [chunk.choices[0].delta.content for chunk in stream]
print(
    json.dumps(
        {
            "message": message.choices[0].message.content,
            "usage": message.usage.completion_tokens,
            "stream": [piece for piece in pieces if piece],
        }
    )
)
