"""AWS in this process (moto), and clients that fail when told: before the real call, or after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from moto import mock_aws

# Moto is the same for whoever tests with it, whether or not tests of the laptop ran in the process before.
import laptop.repairs  # noqa: F401
from lambdas.effects import clients

BUCKET = "the-bucket"
_clients: dict[str, Any] = {}  # making one takes longer than most tests
_bodies: dict[tuple[str, str], bytes] = {}


def real(service: str) -> Any:
    if service not in _clients:
        _clients[service] = boto3.client(service, region_name="eu-central-1")
    return _clients[service]


def refusal(operation: str, code: str, status: int) -> ClientError:
    """A service's own answer that something went wrong."""
    answer = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


def silence() -> ReadTimeoutError:
    """No answer: whether the call was done is not known."""
    return ReadTimeoutError(endpoint_url="https://aws.example")


def always(_request: dict[str, Any]) -> bool:
    return True


@dataclass
class Fault:
    operation: str
    error: BaseException
    is_after: bool
    times: int
    when: Callable[[dict[str, Any]], bool]


@dataclass
class Faults:
    """The faults that are still to come, and the requests that were made and done, by operation."""

    coming: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: dict[str, Callable[[Any, dict[str, Any]], Any]] = field(default_factory=dict)
    done: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def before(
        self,
        operation: str,
        error: BaseException,
        *,
        times: int = 1,
        when: Callable[[dict[str, Any]], bool] = always,
    ) -> None:
        """The call fails and nothing was done."""
        self.coming.append(Fault(operation, error, False, times, when))

    def after(
        self,
        operation: str,
        error: BaseException,
        *,
        times: int = 1,
        when: Callable[[dict[str, Any]], bool] = always,
    ) -> None:
        """The call was done and its answer is lost."""
        self.coming.append(Fault(operation, error, True, times, when))

    def answering(self, operation: str, answer: Callable[[Any, dict[str, Any]], Any]) -> None:
        """Each call of the operation is answered by `answer(real call, request)`."""
        self.answers[operation] = answer

    def requested(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request in self.requests if name == operation]

    def client(self, service: str) -> Any:
        return Client(real(service), self)

    def call(self, operation: str, do: Callable[..., Any], request: dict[str, Any]) -> Any:
        self.requests.append((operation, request))
        fault = next(
            (one for one in self.coming if one.operation == operation and one.times and one.when(request)),
            None,
        )
        if fault is None:
            answer = self.answers.get(operation)
            answered = do(**request) if answer is None else answer(do, request)
            self.done.append((operation, request))
            return answered
        fault.times -= 1
        if fault.is_after:
            do(**request)
            self.done.append((operation, request))
        raise fault.error


class Client:
    """A boto3 client whose calls go through `Faults`."""

    def __init__(self, client: Any, faults: Faults) -> None:
        self._client = client
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        known = getattr(self._client, name)
        if name in ("exceptions", "get_paginator"):
            return known
        return lambda **request: self._faults.call(name, known, request)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    with account(monkeypatch) as faults:
        yield faults


@contextmanager
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """An empty account. What the code under test asks of it passes through the faults."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    faults = Faults()
    monkeypatch.setattr(clients, "client", faults.client)
    monkeypatch.setattr("lambdas.effects.sending.time.sleep", lambda _seconds: None)
    with mock_aws():
        real("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield faults


def keys(bucket: str = BUCKET, prefix: str = "") -> list[str]:
    listed = real("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [each["Key"] for each in listed.get("Contents", ())]


def body(key: str, bucket: str = BUCKET) -> bytes:
    content: bytes = real("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def objects(prefix: str) -> Iterator[tuple[str, bytes]]:
    """The keys and bodies of all objects below a prefix, the oldest first. Only a new body is read."""
    listed = real("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
    for each in sorted(listed, key=lambda each: each["LastModified"]):
        known = each["Key"], each["ETag"]
        if known not in _bodies:
            _bodies[known] = body(each["Key"])
        yield each["Key"], _bodies[known]


def delivery_stream(name: str) -> str:
    """A Firehose stream that writes what it is given under its own name into the bucket."""
    real("firehose").create_delivery_stream(
        DeliveryStreamName=name,
        ExtendedS3DestinationConfiguration={
            "RoleARN": "arn:aws:iam::123456789012:role/firehose",
            "BucketARN": f"arn:aws:s3:::{BUCKET}",
            "Prefix": f"{name}/",
        },
    )
    return name


def delivered(stream: str) -> list[dict[str, Any]]:
    """The rows that a delivery stream has written, in order."""
    return [json.loads(line) for _, written in objects(f"{stream}/") for line in written.splitlines()]


def make_table(name: str, key: str, kind: str = "S") -> str:
    """A table whose items are known by one key, of texts unless `kind` says otherwise."""
    real("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


def fifo_queue() -> str:
    made = real("sqs").create_queue(QueueName="changes.fifo", Attributes={"FifoQueue": "true"})
    return str(made["QueueUrl"])


def received(url: str) -> list[dict[str, Any]]:
    """The messages of a queue, taken out of it."""
    messages: list[dict[str, Any]] = []
    while batch := real("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in batch:
            messages.append(json.loads(message["Body"]))
            real("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return messages
