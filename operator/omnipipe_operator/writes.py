"""Whether an object on the cluster already is what we want it to be. Pure.

The question is asked of what we would own only: fields that others set, defaults that the server filled in and items
that others added to lists of named things are theirs. Whether the *desired* object has lost a field since it was last
applied is told by the hash in its annotation `omnipipe.dev/applied`, which is compared like every other field.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

__all__ = ["differences", "same_status"]

_NAMES: Final = ("name", "mountPath", "containerPort", "port", "topologyKey", "uid", "key", "type")
"""What tells the items of a list of maps apart, on the API server's side too, in the order in which we try them."""
_QUANTITIES: Final = frozenset({"requests", "limits", "sizeLimit", "storage", "averageValue", "divisor"})
_QUANTITY: Final = re.compile(r"([+-]?[0-9.]+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]+)?")
_FACTORS: Final = {
    "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "P": Decimal(10**15), "E": Decimal(10**18), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def differences(desired: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """Paths at which the live object is not as desired; empty: nothing is to be written."""
    return list(_compare(desired, live, "", quantity=False))


def same_status(desired: Mapping[str, Any] | None, live: Mapping[str, Any] | None) -> bool:
    """The whole of it: we own all of a status."""
    return bool(_bare(desired or {}) == _bare(live or {}))


def _compare(desired: Any, live: Any, path: str, *, quantity: bool) -> Iterator[str]:
    if desired == live or (_empty(desired) and _empty(live)):
        return
    if isinstance(desired, dict) and isinstance(live, dict):
        for name, value in desired.items():
            found = live.get(name)
            if value != found:  # most are equal, and this is asked of every field of every child
                inner = quantity or name in _QUANTITIES
                yield from _compare(value, found, f"{path}.{name}" if path else name, quantity=inner)
    elif isinstance(desired, list | tuple) and isinstance(live, list):
        yield from _compare_lists(desired, live, path, quantity=quantity)
    elif not (quantity and _same_quantity(desired, live)):
        yield path


def _compare_lists(desired: Sequence[Any], live: Sequence[Any], path: str, *, quantity: bool) -> Iterator[str]:
    name = _name_of_items(desired, live)
    if name is None:
        if len(desired) != len(live):
            yield path
            return
        for index, (wanted, found) in enumerate(zip(desired, live, strict=True)):
            yield from _compare(wanted, found, f"{path}[{index}]", quantity=quantity)
        return
    by_name = {item[name]: item for item in live}
    for item in desired:
        yield from _compare(item, by_name.get(item[name]), f"{path}[{name}={item[name]}]", quantity=quantity)


def _name_of_items(desired: Sequence[Any], live: Sequence[Any]) -> str | None:
    """The field that names the items of both; None: a list whose order and length count."""
    for name in _NAMES:
        if all(_unique(items, name) for items in (desired, live)):
            return name
    return None


def _unique(items: Sequence[Any], name: str) -> bool:
    names = [item.get(name) if isinstance(item, dict) else None for item in items]
    return all(isinstance(value, str | int) for value in names) and len(set(names)) == len(names)


def _empty(value: Any) -> bool:
    """The server leaves such a thing out. `False` and 0 are values."""
    return value is None or (not value and isinstance(value, str | dict | list | tuple))


def _same_quantity(desired: Any, live: Any) -> bool:
    wanted, found = _number(desired), _number(live)
    return wanted is not None and wanted == found


def _number(value: Any) -> Decimal | None:
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        return None
    number, suffix = match.groups()
    try:
        if suffix is None or suffix in _FACTORS:
            return Decimal(number) * _FACTORS.get(suffix or "", Decimal(1))
        return Decimal(number + suffix)
    except InvalidOperation:
        return None


def _bare(value: Any) -> Any:
    match value:
        case Mapping():
            return {name: _bare(part) for name, part in value.items() if part is not None}
        case list() | tuple():
            return [_bare(part) for part in value]
        case _:
            return value
