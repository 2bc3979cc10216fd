"""What people read when a name is taken, or when the API server refuses what the operator wants."""

from omnipipe_operator.conditions.trouble import Trouble
from omnipipe_operator.conflicts import blocked
from omnipipe_operator.observed import Observed, Ref

SERVICE, CONFIG = Ref("v1", "Service", "p"), Ref("v1", "ConfigMap", "p-plan-1")


def words(*taken: Ref, refusals: dict[Ref, str] | None = None) -> tuple[str, str] | None:
    found: Trouble | None = blocked(Observed(pipeline={}, children=(), refusals=refusals or {}), taken)
    return None if found is None else (found.reason.value, found.message)


def test_nothing_in_the_way_is_no_trouble() -> None:
    assert words() is None


def test_one_name_that_is_taken() -> None:
    assert words(SERVICE) == (
        "NameConflict",
        "Service p belongs to somebody else and is not touched: rename it or the pipeline",
    )


def test_several_names_in_an_order_that_does_not_change() -> None:
    found = words(SERVICE, CONFIG)

    assert found is not None
    assert found == words(CONFIG, SERVICE)
    assert found[1] == "ConfigMap p-plan-1, Service p belong to others: rename it or the pipeline"


def test_what_the_server_refuses_and_a_taken_name_before_it() -> None:
    refusals = {SERVICE: "exceeded quota", CONFIG: "denied"}

    assert words(refusals=refusals) == (
        "ApplyRefused",
        "the API server refuses ConfigMap p-plan-1: denied, Service p: exceeded quota",
    )
    assert words(SERVICE, refusals=refusals) == words(SERVICE)
