"""kinesis-local, a Kinesis by other authors than moto's, as a process for as long as a test needs it.

`npm install --package-lock-only --omit-lockfile-registry-resolved` in this folder locks another version.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionError as NoAnswer
from botocore.exceptions import HTTPClientError

from stacks.command import NODE, CommandError, fetch

LOCK = Path(__file__).parent
HOME = Path(sys.prefix) / "kinesis-local"
# What npm says of a package index that cannot be reached, or not through the proxy that stands before it.
UNREACHABLE = {
    *("EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "ENOTCACHED", "ENOTFOUND"),
    *("ERR_SOCKET_TIMEOUT", "ETIMEDOUT", "E403", "E407", "E502", "E503", "E504"),
}
STARTED_WITHIN = 60.0
# Kinesis takes a while to change a stream; a test has no need to wait for it.
CHANGES = ("CREATE_STREAM", "DELETE_STREAM", "MERGE_SHARDS", "SPLIT_SHARD", "UPDATE_SHARD_COUNT")


@contextmanager
def kinesis_local() -> Iterator[Any]:
    """A client of a server that ends with the block; skips where npm cannot reach what to install."""
    install()
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        plain, tls = (str(each.getsockname()[1]) for each in sockets)
    ports = {"KINESIS_MOCK_PLAIN_PORT": plain, "KINESIS_MOCK_TLS_PORT": tls}
    limits = {"SHARD_LIMIT": "1000", "LOG_LEVEL": "ERROR"}
    at_once = {f"{change}_DURATION": "1ms" for change in CHANGES}
    package = HOME / "node_modules" / "kinesis-local"
    server = subprocess.Popen(
        [str(NODE), "main.js"],
        cwd=package,
        env=os.environ | ports | limits | at_once,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        client = boto3.client(
            "kinesis",
            endpoint_url=f"http://127.0.0.1:{plain}",
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=30),
        )
        wait_for(client, server)
        yield client
    finally:
        server.kill()  # asked to end, it would wait for the client's open connections
        server.communicate(timeout=30)


def install() -> None:
    """Fetch it once for all who test at the same time; without network that is no failure of ours."""
    with HOME.with_suffix(".lock").open("w") as lock, pytest.MonkeyPatch.context() as environment:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environment.setenv("npm_config_fetch_retries", "0")
        environment.setenv("npm_config_fetch_timeout", "60000")
        try:
            fetch(LOCK, HOME, "kinesis-local")
        except CommandError as error:
            if UNREACHABLE.intersection(re.findall(r"npm error code (\S+)", str(error))):
                pytest.skip("kinesis-local is not installed, and npm cannot reach its package index to do it")
            raise


def wait_for(client: Any, server: subprocess.Popen[str]) -> None:
    given_up = time.monotonic() + STARTED_WITHIN
    while True:
        try:
            client.list_streams()
        except (NoAnswer, HTTPClientError):
            if server.poll() is not None:
                raise RuntimeError(f"kinesis-local ended: {server.communicate()[1]}") from None
            if time.monotonic() > given_up:
                raise
            time.sleep(0.05)
        else:
            return
