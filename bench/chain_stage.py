"""One process of the chains that `p3_chain` compares: a real stage with a program that does nothing, or a bare relay.

python -m bench.chain_stage stage PLAN.json NAME
python -m bench.chain_stage relay LISTEN [NEXT]
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import zmq

from omnipipe.engines.program import Emit, Job, Outcome, StageContext
from omnipipe.spec.plan import Plan
from omnipipe.stage.process import run_stage
from omnipipe.stage.settings import StageSettings

__all__ = ["DRIVER", "PORT", "Pass"]

PORT = "out"
DRIVER = b"driver"
"""The routing id that the last relay answers to."""


class Pass:
    """Hands on what it gets."""

    def __init__(self, context: StageContext) -> None:
        pass

    def cost(self, job: Job) -> int:
        return 1

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        return [Outcome([Emit(PORT, value, last=True) for value in job.inputs.values()]) for job in batch]


def relay(listen: str, onward: str | None) -> None:
    """Reads what is there, passes it on; the last of the chain answers."""
    context = zmq.Context()
    inbound = context.socket(zmq.ROUTER)
    inbound.bind(listen)
    outbound = inbound
    if onward is not None:
        outbound = context.socket(zmq.DEALER)
        outbound.connect(onward)
    while True:
        _, message = inbound.recv_multipart()
        if message == b"stop":
            break
        outbound.send_multipart([message] if onward is not None else [DRIVER, message])
    context.destroy(linger=0)


def main() -> int:
    match sys.argv[1:]:
        case ["stage", path, name]:
            return run_stage(Plan.from_json(Path(path).read_bytes()), name, 0, StageSettings(grace_s=1.0))
        case ["relay", listen, *onward]:
            relay(listen, onward[0] if onward else None)
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
