"""Values for formats that JSON Schema does not know, and a look at every answer for what was planted."""

import schemathesis
from hypothesis import strategies as st

MOMENT = st.datetimes(
    min_value=__import__("datetime").datetime(1971, 1, 1),
    max_value=__import__("datetime").datetime(2200, 1, 1),
).map(lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ"))

schemathesis.openapi.format("date-time", MOMENT)
schemathesis.openapi.format("time-zone", st.just("UTC"))
schemathesis.openapi.format("ip-range", st.sampled_from(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]))

PLANTED = "planted-secret"


@schemathesis.check
def nothing_planted_is_shown(ctx, response, case):
    """No answer holds a secret of the config (D3, K19)."""
    if PLANTED in response.text:
        raise AssertionError("a secret of the config is in the answer")
