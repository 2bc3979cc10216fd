"""`omnipipe-operator`, and `python -m omnipipe_operator`."""

import sys
from collections.abc import Sequence
from functools import partial

from omnipipe_operator.arguments import parse
from omnipipe_operator.decide import decide
from omnipipe_operator.entry import run
from omnipipe_operator.known import Known
from omnipipe_operator.references import References

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    process, settings = parse(sys.argv[1:] if argv is None else argv)
    sys.exit(run(process, partial(decide, settings=settings, known=Known()), References().of))


if __name__ == "__main__":
    main()
