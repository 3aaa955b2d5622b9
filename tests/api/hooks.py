"""Values for formats that JSON Schema does not know, names that exist, and a look at every answer."""

import datetime
import re

import schemathesis
from hypothesis import strategies as st

FIRST, LAST = datetime.datetime(1971, 1, 1), datetime.datetime(2200, 1, 1)
MOMENTS = st.datetimes(FIRST, LAST).map(lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ"))
BYTES = st.integers(0, 255)

schemathesis.openapi.format("date-time", MOMENTS)
schemathesis.openapi.format("time-zone", st.just("UTC"))
schemathesis.openapi.format("ip-range", st.builds(lambda a, b: f"10.{a}.{b}.0/24", BYTES, BYTES))

NAME = re.compile(r"[A-Za-z0-9_@+:#=()-]([A-Za-z0-9._@+:#=() -]{0,126}[A-Za-z0-9._@+:#=()-])?")
PLANTED = "planted-secret"


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Every other good name becomes that of something that exists; nothing is deleted by it."""
    name = (path_parameters or {}).get("name")
    changes = context.operation.method.upper() != "DELETE"
    if changes and isinstance(name, str) and len(name) % 2 == 1 and NAME.fullmatch(name):
        return {**path_parameters, "name": "probe"}
    return path_parameters


@schemathesis.check
def nothing_planted_is_shown(ctx, response, case):
    """No answer holds a secret of the config (D3, K19)."""
    if PLANTED in response.text:
        raise AssertionError("a secret of the config is in the answer")
