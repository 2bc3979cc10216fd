"""Names the model that is served, most of the time: otherwise nearly all generated requests would end in a 404."""

import schemathesis


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: object) -> object:
    model = body.get("model") if isinstance(body, dict) else None
    if isinstance(body, dict) and isinstance(model, str) and 0 < len(model) <= 64 and len(model) % 4 != 3:
        return {**body, "model": "echo"}  # one that is wrong by its length stays: it may be what the case is about
    return body
