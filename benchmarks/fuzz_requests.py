"""What becomes of odd requests? Thousands of them, from the face's values to the files on disk.

Why: a request that nobody foresaw must end as a picture or as a sentence, never as "internal error", nor as a hang, nor
as a fault that is told of an extension of ours. Every task, with every bundled extension, on tiny random models of all
families: sizes, samplers, schedules, guidance, prompts, pictures and masks of any mode, values of any type.

    python benchmarks/fuzz_requests.py [--count 1000] [--first 0] [--seconds 600]

The last line is one JSON document; a request is repeated with `--first SEED --count 1`.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.engine.asking import drawn, opened, outcome, write_models


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seconds", type=float, default=600, help="when to stop")
    parser.add_argument("--told", action="store_true", help="prints what each was told")
    asked = parser.parse_args()
    if asked.count > 1:
        logging.disable(logging.CRITICAL)
    counted: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    faults, slowest = [], (0.0, 0)
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        models = write_models(top / "models")
        begun = time.monotonic()
        with opened(models, top / "data") as studio:
            for seed in range(asked.first, asked.first + asked.count):
                if time.monotonic() - begun > asked.seconds:
                    break
                task, values = drawn(studio, seed)
                found = outcome(studio, task, values)
                counted[found.kind] += 1
                tasks[f"{task} {found.kind}"] += 1
                slowest = max(slowest, (round(found.seconds, 1), seed))
                if found.kind == "fault":
                    faults.append(seed)
                if asked.told or found.kind in ("fault", "failed") or asked.count == 1:
                    print(seed, task, found.kind, found.said[:300], found.told, flush=True)
    told = {"outcomes": counted, "tasks": tasks, "faults": faults, "slowest": slowest}
    print(json.dumps(told | {"seconds": round(time.monotonic() - begun, 1)}))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
