"""One deployed account for the tests of a file, one Spark for all; each test begins with an empty lake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from laptop.clock import Clock
from laptop.cloud import Cloud
from tests.jobs.yard import START, Yard


@pytest.fixture(scope="module")
def cloud(cdk_out: Path) -> Iterator[Cloud]:
    with Cloud(Clock(START)) as cloud:
        cloud.deploy(cdk_out)
        yield cloud


@pytest.fixture
def yard(cloud: Cloud, tmp_path: Path) -> Yard:
    return Yard(cloud, tmp_path)
