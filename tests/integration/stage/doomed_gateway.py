"""A gateway that submits one endless request and then only waits to be killed."""

import sys
from pathlib import Path

from tests.integration.stage.rig import Gateway

from omnipipe.spec.plan import Plan


def main() -> None:
    with Gateway(Plan.from_json(Path(sys.argv[1]).read_bytes()), "doomed") as gateway:
        gateway.submit("doomed", speak={"count": 1_000_000, "delay_s": 0.01})
        print("submitted", flush=True)
        gateway.until(lambda: False, "the end")


if __name__ == "__main__":
    main()
