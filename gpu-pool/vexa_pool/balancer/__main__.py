"""
Writes Envoy's configuration: `python -m vexa_pool.balancer --worker HOST:PORT ...`.

In a cluster, `--dns NAME:PORT` names the headless Service instead.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from vexa_pool.balancer.config import Balancer, Worker, render


def main(arguments: Sequence[str] | None = None) -> int:
    """Write it to standard output."""
    options = _parser().parse_args(arguments)
    balancer = Balancer(
        host=options.host,
        port=options.port,
        workers=[options.dns] if options.dns else options.worker,
        is_dns=options.dns is not None,
        slots=options.slots,
        admin_port=options.admin_port,
    )
    json.dump(render(balancer), sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vexa_pool.balancer", description="Write Envoy's configuration.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9090)
    parser.add_argument("--slots", type=int, default=8, help="of each worker")
    parser.add_argument("--admin-port", type=int)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--worker", type=_worker, action="append", metavar="HOST:PORT")
    who.add_argument("--dns", type=_worker, metavar="NAME:PORT")
    return parser


def _worker(text: str) -> Worker:
    host, _, port = text.rpartition(":")
    return Worker(host, int(port))


if __name__ == "__main__":
    sys.exit(main())
