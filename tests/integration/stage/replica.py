"""A stage process, as the command line would start it: `python -m … PLAN STAGE SETTINGS`."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

from omnipipe.spec.plan import Plan
from omnipipe.stage.process import run_stage
from omnipipe.stage.settings import StageSettings


def main() -> int:
    plan_path, stage, given = sys.argv[1:]
    logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")
    settings: dict[str, Any] = {
        key: Path(value) if key.endswith("_dir") else value for key, value in json.loads(given).items()
    }
    return run_stage(Plan.from_json(Path(plan_path).read_bytes()), stage, 0, StageSettings(**settings))


if __name__ == "__main__":
    sys.exit(main())
