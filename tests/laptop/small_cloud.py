"""An account without templates: a test puts in the resources it is about, as a deployment leaves them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.session
from botocore.loaders import Loader

from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.functions import FunctionError
from laptop.kinesis import Kinesis
from laptop.resources import ACCOUNT, Resource

# A Monday, 10:00 UTC.
TEN = 1_767_607_200.0
SERVICES = [f"{name}.amazonaws.com" for name in ("firehose", "iot", "lambda", "scheduler", "states")]
Handler = Callable[[Any], Any]
# Most of the time that a client takes to be made goes into reading its service's model: read each only once.
MODELS = Loader()


class SmallCloud(Cloud):
    """Adds resources by hand and runs plain Python functions as handlers."""

    def __init__(self) -> None:
        super().__init__(Clock(TEN))
        self.kinesis = Kinesis(self)
        self._handlers: dict[str, Handler] = {}

    def client(self, service: str) -> Any:
        if service not in self._clients:
            session = botocore.session.get_session()
            session.register_component("data_loader", MODELS)
            self._clients[service] = boto3.Session(botocore_session=session).client(
                service, region_name=self.region
            )
        return self._clients[service]

    def add(self, kind: str, logical_id: str, properties: dict[str, Any], physical_id: str = "") -> Resource:
        resource = Resource(
            stack="Test",
            logical_id=logical_id,
            type=kind,
            physical_id=physical_id or logical_id,
            properties=properties,
        )
        self.resources["Test", logical_id] = resource
        return resource

    def role(self, name: str, *, denied: str = "nothing:AtAll", trusts: list[str] = SERVICES) -> str:
        """Add a role that may do everything but one action and return its ARN."""
        statements = [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": denied, "Resource": "*"},
        ]
        trust = {"Effect": "Allow", "Principal": {"Service": trusts}, "Action": "sts:AssumeRole"}
        policy = {"PolicyName": "inline", "PolicyDocument": {"Statement": statements}}
        properties = {"AssumeRolePolicyDocument": {"Statement": [trust]}, "Policies": [policy]}
        self.add("AWS::IAM::Role", name, properties)
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"

    def stream(self, name: str, *, shards: int = 1) -> str:
        self.client("kinesis").create_stream(StreamName=name, ShardCount=shards)
        self.add("AWS::Kinesis::Stream", name, {})
        return f"arn:aws:kinesis:{self.region}:{ACCOUNT}:stream/{name}"

    def function(self, name: str, handler: Handler, **role: Any) -> str:
        """Add a function with a role of its own, which `role` describes, and return its ARN."""
        self._handlers[name] = handler
        self.add("AWS::Lambda::Function", name, {"Role": self.role(f"{name}-role", **role)})
        return f"arn:aws:lambda:{self.region}:{ACCOUNT}:function:{name}"

    def invoke(self, function: str, payload: Any) -> Any:
        """What Lambda does for its caller: JSON in, JSON out, and an error when the handler raises."""
        try:
            return json.loads(
                json.dumps(self._handlers[function.split(":")[6]](json.loads(json.dumps(payload))))
            )
        except Exception as error:
            raise FunctionError(type(error).__name__, str(error), "") from error

    def bucket(self, name: str) -> str:
        self.client("s3").create_bucket(Bucket=name)
        self.add("AWS::S3::Bucket", name, {})
        return f"arn:aws:s3:::{name}"

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        s3 = self.client("s3")
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {one["Key"]: s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed}

    def wait(self, seconds: float) -> float:
        """Let simulated time pass and return what it is then."""
        self.clock.advance_to(self.clock.now + seconds)
        return self.clock.now


@contextmanager
def small_cloud() -> Iterator[SmallCloud]:
    with SmallCloud() as cloud:
        yield cloud
