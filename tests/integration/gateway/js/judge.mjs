// The official JavaScript SDK against a gateway: node judge.mjs BASE_URL MODULES_FOLDER. Prints what it saw as JSON.
import { createRequire } from "node:module";

const [baseURL, modules] = process.argv.slice(2);
const { OpenAI } = createRequire(`${modules}/`)("openai");
const client = new OpenAI({ baseURL, apiKey: "right", maxRetries: 0, timeout: 60_000 });
const stranger = new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0, timeout: 60_000 });
const messages = [{ role: "user", content: "hello" }];

const seen = {};

seen.complete = await client.chat.completions.create({ model: "echo", messages });

seen.chunks = [];
const options = { model: "echo", messages, stream: true, stream_options: { include_usage: true } };
for await (const chunk of await client.chat.completions.create(options)) seen.chunks.push(chunk);

seen.helper = await client.chat.completions.stream({ model: "echo", messages }).finalContent();

seen.completion = await client.completions.create({ model: "echo", prompt: ["a", "b"], echo: true });
seen.completionChunks = [];
for await (const chunk of await client.completions.create({ model: "echo", prompt: "a", stream: true })) {
  seen.completionChunks.push(chunk);
}

const spoken = { model: "echo", messages, modalities: ["text", "audio"], audio: { voice: "alloy", format: "pcm16" } };
seen.audio = (await client.chat.completions.create(spoken)).choices[0].message.audio;
const audio = { data: Buffer.alloc(0), transcript: "" };
for await (const chunk of await client.chat.completions.create({ ...spoken, stream: true })) {
  const delta = chunk.choices[0].delta.audio ?? {};
  audio.data = Buffer.concat([audio.data, Buffer.from(delta.data ?? "", "base64")]);
  audio.transcript += delta.transcript ?? "";
}
seen.audioStream = { data: audio.data.toString("base64"), transcript: audio.transcript };

const encoded = await client.chat.completions.create({ ...spoken, audio: { voice: "alloy", format: "flac" } });
seen.audioFile = encoded.choices[0].message.audio.data;

const speech = { model: "echo", input: "hello", voice: "alloy", response_format: "wav" };
const answer = await client.audio.speech.create(speech);
seen.speech = {
  type: answer.headers.get("content-type"),
  data: Buffer.from(await answer.arrayBuffer()).toString("base64"),
};
let speechEvents = "";
for await (const part of (await client.audio.speech.create({ ...speech, stream_format: "sse" })).body) {
  speechEvents += Buffer.from(part).toString();
}
seen.speechEvents = speechEvents.trim().split("\n\n").map((frame) => JSON.parse(frame.replace("data: ", "")));

seen.models = [];
for await (const model of client.models.list()) seen.models.push(model);
seen.model = await client.models.retrieve("echo");

const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];
seen.called = (await client.chat.completions.create({ model: "rich", messages, tools })).choices[0];
seen.callDeltas = [];
const calling = client.chat.completions.stream({ model: "rich", messages, tools });
calling.on("tool_calls.function.arguments.delta", (event) => seen.callDeltas.push(event.arguments_delta));
seen.calledStream = (await calling.finalChatCompletion()).choices[0];
const results = seen.calledStream.message.tool_calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "sunny" }));
const answered = { model: "rich", messages: [...messages, seen.calledStream.message, ...results], tools };
seen.answered = (await client.chat.completions.create(answered)).choices[0].message.content;
seen.thoughts = "";
const thinking = { model: "rich", messages, reasoning_effort: "low", stream: true };
for await (const chunk of await client.chat.completions.create(thinking)) {
  seen.thoughts += chunk.choices[0]?.delta.reasoning_content ?? "";
}
const likely = { model: "rich", messages, logprobs: true, top_logprobs: 2 };
seen.logprobs = (await client.chat.completions.stream(likely).finalChatCompletion()).choices[0].logprobs;
seen.embeddings = await client.embeddings.create({ model: "rich", input: ["a", "b"] });
seen.floats = await client.embeddings.create({ model: "rich", input: [1, 2], encoding_format: "float", dimensions: 2 });
seen.deleted = await client.models.delete("extra");

const failing = {
  400: () => client.chat.completions.create({ model: "echo", messages, temperature: 0.5 }),
  401: () => stranger.chat.completions.create({ model: "echo", messages }),
  404: () => client.chat.completions.create({ model: "nobody", messages }),
  413: () => client.chat.completions.create({ model: "echo", messages: [{ role: "user", content: "x".repeat(3e6) }] }),
  422: () => client.chat.completions.create({ model: "unprocessable", messages }),
  429: () => client.chat.completions.create({ model: "overloaded", messages }),
  500: () => client.chat.completions.create({ model: "internal", messages, stream: true }),
  503: () => client.chat.completions.create({ model: "unavailable", messages, stream: true }),
  504: () => client.chat.completions.create({ model: "deadline", messages }),
};
seen.errors = {};
for (const [status, call] of Object.entries(failing)) {
  try {
    await call();
    seen.errors[status] = "no error";
  } catch (error) {
    const { name } = error.constructor;
    seen.errors[status] = { name, status: error.status, code: error.code, param: error.param, id: error.requestID };
  }
}

seen.broken = { content: "" };
try {
  for await (const chunk of await client.chat.completions.create({ model: "breaks", messages, stream: true })) {
    seen.broken.content += chunk.choices[0].delta.content ?? "";
  }
} catch (error) {
  seen.broken.error = error.constructor.name;
  seen.broken.message = error.message;
}

const controller = new AbortController();
const left = await client.chat.completions.create({ model: "waits", messages, stream: true }, { signal: controller.signal });
for await (const chunk of left) {
  if (chunk.choices[0].delta.content) controller.abort();
}
seen.left = true;

console.log(JSON.stringify(seen));
