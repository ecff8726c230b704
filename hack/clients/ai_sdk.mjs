// Calls the model that its argument names as any program with the AI SDK does, configured by its environment alone.
// Prints what came back as one line of JSON. An error is the client's own, with exit code 1.
import { vertex } from "@ai-sdk/google-vertex";
import { vertexAnthropic } from "@ai-sdk/google-vertex/anthropic";
import { generateText, streamText } from "ai";

const name = process.argv[2];
const model = name.startsWith("claude-") ? vertexAnthropic(name) : vertex(name);

const whole = await generateText({ model, prompt: "Say hello.", maxOutputTokens: 64 });
const pieces = [];
const stream = streamText({
  model,
  prompt: "Say hello.",
  maxOutputTokens: 64,
  onError({ error }) {
    throw error;
  },
});
for await (const piece of stream.textStream) pieces.push(piece);
console.log(JSON.stringify({ message: whole.text, stream: pieces }));
