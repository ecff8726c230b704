// Calls the model that its argument names as any program with @anthropic-ai/vertex-sdk does, configured by its environment
// alone. Prints what came back as one line of JSON. An error is the client's own, with exit code 1.
import { AnthropicVertex } from "@anthropic-ai/vertex-sdk";

const model = process.argv[2];
const prompt = { model, messages: [{ role: "user", content: "Say hello." }] };
const client = new AnthropicVertex();

const message = await client.messages.create({ ...prompt, max_tokens: 64 });
const pieces = [];
for await (const event of await client.messages.create({ ...prompt, max_tokens: 64, stream: true })) {
  if (event.type === "content_block_delta") pieces.push(event.delta.text);
}
const count = await client.messages.countTokens(prompt);
console.log(
  JSON.stringify({
    message: message.content[0].text,
    usage: message.usage.output_tokens,
    stream: pieces,
    count: count.input_tokens,
  }),
);
