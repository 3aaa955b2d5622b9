"""What every client's checks share: the address, the checks, and a look into the simulator's log."""

import base64
import gc
import itertools
import json
import os
import sys
import time
import traceback
import urllib.error
import urllib.request
import uuid

URL = os.environ["TOLLGATE_URL"].rstrip("/")
# Where the simulated provider itself listens; the same address when no gateway stands between.
SIM = os.environ.get("TOLLGATE_SIM_URL", URL).rstrip("/")
DIRECT = SIM == URL
KEY = os.environ.get("TOLLGATE_KEY", "sk-tollgate-test")
MODEL = os.environ.get("TOLLGATE_MODEL", "gpt-sim")
# One model of each dialect, where a gateway stands before all of them.
MODELS = os.environ.get("TOLLGATE_MODELS", "").split()
# A key that allows one call at a time.
NARROW = KEY if DIRECT else os.environ.get("TOLLGATE_NARROW_KEY", KEY)
# Requests that go wrong each take a model of their own, {} being a number: a gateway rightly
# remembers an upstream that failed, and the next check must not pay for it.
FRESH = os.environ.get("TOLLGATE_FRESH_MODEL", MODEL)

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Tells the {name} of a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
    for name in ("weather", "time")
]
TWO_CALLS = 'call weather {"city":"Paris, the capital of France"}\ncall time {"city":"Oslo"}'

_checks = []
_numbers = itertools.count()


def check(function):
    """Registers a check; its name is the fact it proves."""
    _checks.append(function)
    return function


def user(text, directives=None):
    """One user message, with directives for the simulator if given."""
    if directives:
        text = f"{text} [[sim: {directives}]]"
    return [{"role": "user", "content": text}]


def model_for(directives):
    """The model to ask when these directives are in the message."""
    return FRESH.replace("{}", str(next(_numbers))) if directives else MODEL


def missing_model():
    """A model and messages that end in a 404."""
    if DIRECT:
        return MODEL, user("hello", "error=model_not_found")
    return "no-such-model-anywhere", user("hello")


def raises(kind, function, status=None):
    """Runs `function`, which must raise exactly this kind of error."""
    try:
        result = function()
    except kind as error:
        if status is not None:
            seen = getattr(error, "status_code", None)
            assert seen in status, f"status {seen}, expected one of {status}"
        return error
    raise AssertionError(f"expected {kind.__name__}, got {result!r}")


def marker():
    """A word no other request carries."""
    return f"marker-{uuid.uuid4().hex}"


def closed_upstream(word, patience=20.0):
    """Waits until the simulator has seen the request with this word being left by its client."""
    deadline = time.monotonic() + patience
    state = None
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{SIM}/sim/log") as answer:
            entries = json.load(answer)["requests"]
        for entry in reversed(entries):
            if word.encode() in base64.b64decode(entry["body_base64"]):
                state = entry["ended"]
                break
        if state == "client_closed":
            return
        # What a client has dropped may be in a circle, and is closed when that is found.
        gc.collect()
        time.sleep(0.02)
    raise AssertionError(f"upstream is {state} instead of client_closed")


def gated(word):
    """A text whose streamed answer stops after its first pieces, until `open_gate` lets it go on."""
    return f"{word} [[sim: events=12; gate_after=6; gate={word}]]"


def open_gate(word):
    """Lets the rest of the answer to `gated(word)` through."""
    urllib.request.urlopen(urllib.request.Request(f"{SIM}/sim/open?id={word}", method="POST")).close()


def room_again(patience=20.0):
    """Waits until the narrow key's one call has been settled."""
    body = json.dumps({"model": MODEL, "messages": user("hello")}).encode()
    head = {"authorization": f"Bearer {NARROW}", "content-type": "application/json"}
    deadline = time.monotonic() + patience
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(f"{URL}/v1/chat/completions", body, head)).close()
            return
        except urllib.error.HTTPError as error:
            assert error.code == 429 and time.monotonic() < deadline, f"{error.code}: {error.read()!r}"
        time.sleep(0.02)


def run(client):
    """Runs every check and ends the program; the last line counts."""
    passed = failed = 0
    for function in _checks:
        try:
            function()
        except Exception:  # a check may fail in any way
            failed += 1
            print(f"FAIL {client}: {function.__name__}")
            traceback.print_exc(file=sys.stdout)
        else:
            passed += 1
            print(f"ok   {client}: {function.__name__}")
    print(f"{client}: {passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)
