"""Names a model that is served, most of the time: otherwise nearly all generated requests would end in a 404. And
spares the models: once they were deleted there would be nothing left to ask."""

import schemathesis


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: object) -> object:
    model = body.get("model") if isinstance(body, dict) else None
    if isinstance(body, dict) and isinstance(model, str) and 0 < len(model) <= 64 and len(model) % 4 != 3:
        return {
            **body,
            "model": "echo" if len(model) % 2 else "rich",
        }  # one that is wrong by its length stays: it may be what the case is about
    return body


@schemathesis.hook
def map_path_parameters(context: schemathesis.HookContext, path_parameters: object) -> object:
    """A deletion is asked of a model that there is not."""
    operation = context.operation
    if operation is not None and operation.method.upper() == "DELETE" and isinstance(path_parameters, dict):
        return {**path_parameters, "model": f"no-{path_parameters.get('model')}"}
    return path_parameters
