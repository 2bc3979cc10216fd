"""A value against the `ParamType` that a family declares: the manifest's `params` and a client's `stage_params` are
checked in the same words."""

import sys

from omnipipe.spec.family import ParamType
from omnipipe.spec.plan import ParamValue
from omnipipe.spec.suggest import meant, number, shown

__all__ = ["normal_param", "param_problem"]

_WORDS = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


def param_problem(param: ParamType, value: object) -> str | None:
    """What is wrong with the value, or None."""
    if not _fits(param, value):
        return f"must be {_WORDS[param.type]}, got {shown(value)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if param.minimum is not None and value < param.minimum:
            return f"must be at least {number(param.minimum)}, got {shown(value)}"
        if param.maximum is not None and value > param.maximum:
            return f"must be at most {number(param.maximum)}, got {shown(value)}"
        if param.multiple_of is not None and value % param.multiple_of:
            return f"must be a multiple of {param.multiple_of}, got {shown(value)}"
    if isinstance(value, str) and param.choices and value not in param.choices:
        known = [choice for choice in param.choices if choice]
        return f"must be one of {', '.join(known)}, got {shown(value)}{_hint(value, known)}"
    return None


def normal_param(param: ParamType, value: ParamValue) -> ParamValue:
    """The same value in the parameter's own type: 1 for a number with a fraction is 1.0."""
    return float(value) if param.type is float else value


def _fits(param: ParamType, value: object) -> bool:
    if isinstance(value, bool):
        return param.type is bool
    if param.type is float:
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max  # so no NaN either
    return isinstance(value, param.type)


def _hint(value: str, known: list[str]) -> str:
    hint = meant(value, known)
    return hint if "did you mean" in hint else ""
