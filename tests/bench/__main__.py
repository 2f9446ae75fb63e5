"""Run the benchmarks and print ratios: `make bench`, or `python -m tests.bench [name …]`.

Every figure is a ratio against a baseline measured in the same run, or a size. Nothing fails on
time: a machine may be slow, and a reader judges.
"""

from __future__ import annotations

import sys

from . import capture, pictures, record, startup, step, trace, watch

SUITES = {
    "capture": capture.main,
    "trace": trace.main,
    "record": record.main,
    "pictures": pictures.main,
    "startup": startup.main,
    "watch": watch.main,
    "step": step.main,
}


def main() -> None:
    """Run the named suites, all of them by default."""
    names = sys.argv[1:] or list(SUITES)
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        sys.exit(f"unknown benchmark {unknown[0]!r}; there are: {', '.join(SUITES)}")
    for name in names:
        print(f"\n{name}")
        for line in SUITES[name]():
            print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
