"""Every measurement, one after another: `python -m bench [NAME...]`. The worker's needs packages of its own."""

import importlib
import sys

NAMES = (
    "upload",
    "acceptance",
    "notifications",
    "chat",
    "agents",
    "canvases",
    "batch",
    "extraction",
    "search",
    "memory",
    "streams",
)


def main() -> None:
    for name in sys.argv[1:] or NAMES:
        sys.stdout.write(f"\n## {name}\n\n")
        sys.stdout.flush()
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
