"""Questions to models through a gateway, with the SDKs of OpenAI and Anthropic, as a script of anybody would ask them.

Each line of standard input is a question: {"api", "base_url", "key", "stream", "text"}. Each line of the output is what
the model said, {"said"}, or what went wrong, {"status", "error"}.
"""

import json
import sys

import anthropic
import openai

MODEL = "sandbox-model"


def chat(client, stream, text):
    messages = [{"role": "user", "content": text}]
    if not stream:
        return client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content
    chunks = client.chat.completions.create(model=MODEL, messages=messages, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def responses(client, stream, text):
    if not stream:
        return client.responses.create(model=MODEL, input=text).output_text
    # With all that the API of a ChatGPT plan asks for.
    question = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]
    with client.responses.stream(model=MODEL, instructions="Answer.", store=False, input=question) as events:
        return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def messages(client, stream, text):
    question = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": text}]}
    if not stream:
        return client.messages.create(**question).content[0].text
    with client.messages.stream(**question) as answer:
        return "".join(answer.text_stream)


APIS = {
    "openai-chat": (openai.OpenAI, chat),
    "openai-responses": (openai.OpenAI, responses),
    "anthropic": (anthropic.Anthropic, messages),
}

for line in sys.stdin:
    case = json.loads(line)
    client, ask = APIS[case["api"]]
    try:
        client = client(base_url=case["base_url"], api_key=case["key"])
        answer = {"said": ask(client, case["stream"], case["text"])}
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        answer = {"status": error.status_code, "error": error.message}
    print(json.dumps(answer), flush=True)
