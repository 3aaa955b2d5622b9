"""boto3's bedrock-runtime client, before providers of every dialect."""

import json
import os

import boto3
import botocore.config
from botocore.exceptions import ClientError, EventStreamError
from harness import DIRECT, KEY, TWO_CALLS, URL, check, raises, run


def client_with(key):
    """A client whose access key id is the gateway's key. The simulator wants the id for its secret."""
    config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=20)
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=URL,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=key,
        config=config,
    )


client = client_with(KEY)
# One model of each dialect; without a gateway there is the simulator's own.
MODELS = os.environ.get("TOLLGATE_MODELS", "us.anthropic.claude-sonnet-4-5-20250929-v1:0").split()
FRESH = os.environ.get("TOLLGATE_FRESH_MODEL", MODELS[0])
TOOLS = {
    "tools": [
        {
            "toolSpec": {
                "name": name,
                "description": f"Tells the {name} of a city.",
                "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
            }
        }
        for name in ("weather", "time")
    ]
}
number = 0


def fresh():
    """A model that no other check has made an upstream fail with."""
    global number
    number += 1
    return FRESH.replace("{}", str(number))


def user(text, directives=None):
    return [{"role": "user", "content": [{"text": f"{text} [[sim: {directives}]]" if directives else text}]}]


def ask(model, text, directives=None, tokens=400, **rest):
    return client.converse(modelId=model, messages=user(text, directives), inferenceConfig={"maxTokens": tokens}, **rest)


def told(answer):
    return "".join(block.get("text", "") for block in answer["output"]["message"]["content"])


def streamed(model, text, directives=None, **rest):
    """The message that a stream comes to, its stop reason, usage and the names of its events."""
    answer = client.converse_stream(modelId=model, messages=user(text, directives), inferenceConfig={"maxTokens": 400}, **rest)
    blocks, names, stop, usage = {}, [], None, None
    for event in answer["stream"]:
        (name, data), = event.items()
        names.append(name)
        if name == "contentBlockStart":
            blocks[data["contentBlockIndex"]] = {"toolUse": {**data["start"]["toolUse"], "input": ""}}
        elif name == "contentBlockDelta":
            block = blocks.setdefault(data["contentBlockIndex"], {"text": ""})
            if "text" in data["delta"]:
                block["text"] += data["delta"]["text"]
            if "toolUse" in data["delta"]:
                block["toolUse"]["input"] += data["delta"]["toolUse"]["input"]
        elif name == "messageStop":
            stop = data["stopReason"]
        elif name == "metadata":
            usage = data["usage"]
    return [blocks[index] for index in sorted(blocks)], stop, usage, names


def each(function):
    """Registers a check for every model."""
    for model in MODELS:
        def checked(model=model):
            function(model)
        checked.__name__ = f"{function.__name__} ({model})"
        check(checked)
    return function


@each
def a_conversation_is_answered_with_usage(model):
    answer = ask(model, "hello", system=[{"text": "be brief"}])
    assert told(answer) == "You said: hello", answer
    assert answer["stopReason"] == "end_turn" and answer["output"]["message"]["role"] == "assistant"
    usage = answer["usage"]
    assert usage["inputTokens"] > 0 and usage["outputTokens"] > 0, usage
    assert usage["totalTokens"] >= usage["inputTokens"] + usage["outputTokens"], usage
    assert answer["ResponseMetadata"]["RequestId"]


@each
def a_stream_accumulates_to_the_whole_answer(model):
    blocks, stop, usage, names = streamed(model, "one two three")
    assert "".join(block["text"] for block in blocks) == "You said: one two three", blocks
    assert stop == "end_turn" and usage["inputTokens"] > 0 and usage["outputTokens"] > 0
    assert (names[0], names[-2], names[-1]) == ("messageStart", "messageStop", "metadata"), names


@each
def the_cap_ends_with_its_reason(model):
    assert ask(model, "hello there", tokens=2)["stopReason"] == "max_tokens"


@each
def parallel_calls_come_whole_and_their_results_are_taken_up(model):
    messages = user(TWO_CALLS)
    answer = client.converse(modelId=model, messages=messages, toolConfig=TOOLS)
    message = answer["output"]["message"]
    calls = [block["toolUse"] for block in message["content"] if "toolUse" in block]
    assert answer["stopReason"] == "tool_use"
    assert [call["name"] for call in calls] == ["weather", "time"], answer
    assert [call["input"] for call in calls] == [{"city": "Paris, the capital of France"}, {"city": "Oslo"}]
    assert len({call["toolUseId"] for call in calls}) == 2
    results = [{"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": f"{call['name']} is fine"}]}} for call in calls]
    messages += [message, {"role": "user", "content": results}]
    answer = client.converse(modelId=model, messages=messages, toolConfig=TOOLS)
    assert told(answer) == "weather returned: weather is fine\ntime returned: time is fine", answer


@each
def h5_parallel_calls_accumulate_from_a_stream(model):
    for directives in (None, "interleave"):
        blocks, stop, _, _ = streamed(model, TWO_CALLS, directives, toolConfig=TOOLS)
        calls = [block["toolUse"] for block in blocks if "toolUse" in block]
        assert stop == "tool_use"
        assert [json.loads(call["input"]) for call in calls] == [{"city": "Paris, the capital of France"}, {"city": "Oslo"}], blocks


@each
def a_forced_tool_is_called(model):
    config = {**TOOLS, "toolChoice": {"tool": {"name": "time"}}}
    answer = ask(model, "hello", toolConfig=config)
    calls = [block["toolUse"]["name"] for block in answer["output"]["message"]["content"] if "toolUse" in block]
    assert calls == ["time"], answer


@check
def faults_have_bedrocks_own_exceptions():
    known = client.exceptions
    for directives, kind in (
        ("error=bad_request", known.ValidationException),
        ("error=context_length", known.ValidationException),
        ("error=rate_limit", known.ThrottlingException),
    ):
        error = raises(kind, lambda directives=directives: ask(fresh(), "hello", directives))
        assert error.response["Error"]["Message"], error
    if not DIRECT:
        error = raises(known.ResourceNotFoundException, lambda: ask("no-such-model-anywhere", "hello"))
        assert "no-such-model-anywhere" in error.response["Error"]["Message"]
    error = raises(ClientError, lambda: client_with("tg-wrong").converse(modelId=MODELS[0], messages=user("hello")))
    assert error.response["Error"]["Code"] == "UnrecognizedClientException", error.response
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@check
def a_bad_field_is_told_by_its_path():
    bad = [{"role": "user", "content": [{"toolResult": {"toolUseId": "never", "content": [{"text": "x"}]}}]}]
    error = raises(client.exceptions.ValidationException, lambda: client.converse(modelId=MODELS[0], messages=bad))
    assert DIRECT or "messages[0].content[0].toolResult.toolUseId" in error.response["Error"]["Message"], error


@check
def k15_a_fault_in_mid_stream_is_an_exception():
    # Its own kind of upstream passes the exception on; another's is told as one.
    error = raises(EventStreamError, lambda: streamed(fresh(), "one two three four five", "error_after=4,error=overloaded"))
    assert error.response["Error"]["Code"].endswith("Exception"), error.response


@check
def claude_is_invoked_in_anthropics_words():
    if DIRECT:
        return
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 400, "messages": [{"role": "user", "content": "hello"}]}
    answer = client.invoke_model(modelId="anthropic/claude-sonnet-4-5", body=json.dumps(body))
    message = json.loads(answer["body"].read())
    assert message["content"][0]["text"] == "You said: hello", message
    answer = client.invoke_model_with_response_stream(modelId="anthropic/claude-sonnet-4-5", body=json.dumps(body))
    events = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
    assert events[0]["type"] == "message_start" and events[-1]["type"] == "message_stop", events
    assert "".join(event.get("delta", {}).get("text", "") for event in events) == "You said: hello"


run("boto3")
