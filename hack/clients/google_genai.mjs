// Calls the model that its argument names as any program with @google/genai does, configured by its environment alone.
// Prints what came back as one line of JSON. An error is the client's own, with exit code 1.
import { GoogleGenAI } from "@google/genai";

const model = process.argv[2];
const client = new GoogleGenAI({});

const message = await client.models.generateContent({ model, contents: "Say hello." });
const pieces = [];
for await (const chunk of await client.models.generateContentStream({ model, contents: "Say hello." })) {
  pieces.push(chunk.text);
}
const count = await client.models.countTokens({ model, contents: "Say hello." });
console.log(
  JSON.stringify({
    message: message.text,
    usage: message.usageMetadata.candidatesTokenCount,
    stream: pieces,
    count: count.totalTokens,
  }),
);
