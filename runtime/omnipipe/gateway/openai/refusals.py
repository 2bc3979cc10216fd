"""The words in which a request is refused before anything runs. All are 400 and name the field at fault."""

from omnipipe.errors import ErrorKind, RequestError

__all__ = ["invalid", "lacking", "missing", "unsupported"]


def invalid(message: str, param: str, code: str = "invalid_value") -> RequestError:
    return RequestError(ErrorKind.INVALID, message, param=param, code=code)


def missing(param: str, when: str = "") -> RequestError:
    needed = f", needed {when}" if when else ""
    return invalid(f"Missing required parameter: '{param}'{needed}.", param, "missing_required_parameter")


def lacking(path: str, what: str) -> RequestError:
    """No model here can do it."""
    return invalid(f"'{path}' is not supported: this server does not have {what}.", path, "unsupported_parameter")


def unsupported(model: str, field: str, hint: str) -> RequestError:
    """This model cannot do it."""
    return invalid(f"'{field}' is not supported by the model `{model}`. {hint}", field, "unsupported_parameter")
