"""What becomes of damaged model files? Thousands of them through the list and a job.

Why: a file that nobody foresaw must end as a picture or as a sentence that names it, never as "internal error".
What the list calls wrong must not paint. Keys are dropped, renamed and turned, shapes cut, numbers made whole or none,
configs given values of other kinds, headers damaged; tiny random networks, on the CPU.

    python benchmarks/fuzz_files.py [--count 300] [--first 0] [--kind sd1 vae ...]

The last line is one JSON document.
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

from tests.engine.damaging import KINDS, Maker, outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300, help="files of each kind")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=KINDS)
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    bad, totals, begun = [], {}, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        maker = Maker(Path(folder))
        for kind in asked.kind:
            counted: Counter[str] = Counter()
            for seed in range(asked.first, asked.first + asked.count):
                found = outcome(maker, kind, seed)
                counted["sentence" if found.said else "picture"] += found.fine
                if "its files cannot be" in found.said:  # told, though no check names what is wrong
                    counted["unforeseen"] += 1
                    print(kind, seed, found, flush=True)
                if not found.fine:
                    counted["fault"] += 1
                    bad.append((kind, seed))
                    print(kind, seed, found, flush=True)
            totals[kind] = dict(counted)
            print(kind, dict(counted), flush=True)
    print(
        json.dumps({"kinds": totals, "faults": bad, "seconds": round(time.monotonic() - begun, 1)})
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
