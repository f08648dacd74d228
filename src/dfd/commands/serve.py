"""`dfd serve`: a bundle behind an HTTP API and a web page."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from dfd import machine
from dfd.config import RuntimeConfig, ServeConfig
from dfd.errors import EXIT_OK, UserError
from dfd.inference.backends import open_engine
from dfd.models.bundle import find, load
from dfd.report.words import which
from dfd.runtime import start
from dfd.serving.app import make_app, paths_of
from dfd.serving.guard import Guard
from dfd.serving.logs import Log
from dfd.serving.server import Server, address_of, is_local, listen
from dfd.serving.service import Service
from dfd.serving.workers import prepare

KEY_LENGTH = 16  # characters; a shorter key can be guessed


def run(config: ServeConfig, out: Path) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    _check(config)
    key = _key(config.api_key_env)
    with listen(config.host, config.port) as bound:
        prepare()
        # torch counted the machine's cores when it was imported, and not the container's share of them.
        torch.set_num_threads(min(torch.get_num_threads(), machine.available_cores()))
        folder = find(config.bundle)
        bundle = load(folder)
        runtime = start(config.runtime, cpu_bf16=bundle.cpu_bf16)
        with ThreadPoolExecutor(1, initializer=machine.give_way) as aside:  # an engine's threads take after their maker
            engine = aside.submit(open_engine, folder, bundle, config.backend, runtime).result()
        service = Service(engine, folder, runtime, config)
        address = address_of(bound, config.host)
        print(f"{address}   page and API ({address}/docs); Ctrl-C ends it", file=sys.stderr)
        print(f"bundle  {which(folder, config.bundle)}", file=sys.stderr)
        print(f"engine  {engine.describe()}", file=sys.stderr)
        print(f"key     {'asked for' if key else 'none'} ({config.api_key_env})", file=sys.stderr)
        if key is None and not is_local(bound):
            print(_open_to_all(config), file=sys.stderr)
        log = Log()
        app = make_app(service, keyed=key is not None)
        guarded = Guard(app, service.metrics, log, paths_of(app), key, is_local(bound))
        log.write("start", url=address, bundle=bundle.name, sha256=bundle.sha256, engine=engine.describe())
        try:
            Server(guarded, service).run(sockets=[bound])
        finally:
            service.close()
            log.write("end")
            log.close()
    return EXIT_OK


def _check(config: ServeConfig) -> None:
    if config.runtime.workers != RuntimeConfig().workers:
        raise UserError(
            f"runtime.workers={config.runtime.workers} has no part in dfd serve; set workers, the number of processes "
            "that decode images"
        )


def _open_to_all(config: ServeConfig) -> str:
    return (
        f"WARNING host={config.host} without a key: whoever reaches this port can use the server, and so can web pages "
        f"in a browser that reaches it. Set {config.api_key_env}, such as to the output of `openssl rand -hex 32`"
    )


def _key(name: str) -> str | None:
    """The API key in an environment variable. Raises UserError for one that protects nothing."""
    key = os.environ.get(name)
    key = key.strip() if key is not None else None  # a secret from a file ends with a line feed
    if key is not None and len(key) < KEY_LENGTH:
        raise UserError(
            f"api_key_env={name}: the key there has {len(key)} characters; accepted are {KEY_LENGTH} or more, such as "
            "from `openssl rand -hex 32`. Unset it to serve without a key"
        )
    return key
