"""Names the model that is served, most of the time: otherwise nearly all generated requests would end in a 404."""

import schemathesis


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: object) -> object:
    if isinstance(body, dict) and isinstance(body.get("model"), str) and len(body["model"]) % 4 != 3:
        return {**body, "model": "echo"}
    return body
