"""AWS IoT rules that send what devices publish to a Kinesis stream, and what cannot be sent to S3.

Not honoured: connections, IoT policies, topics that begin with $, another try of an action that failed.
"""

import json
import re
from base64 import b64encode
from typing import Any  # payloads are as mixed as JSON
from uuid import uuid4

from laptop.cloud import Cloud
from laptop.kinesis import Kinesis
from laptop.resources import Resource
from laptop.services import NotHonoured, honour, java_time, only

SERVICE = "iot.amazonaws.com"
MESSAGE_BYTES = 128 * 1024
PAYLOAD = ("Actions", "AwsIotSqlVersion", "ErrorAction", "RuleDisabled", "Sql")
IGNORED = {"Description": "it is for who reads the template"}
SELECT_ALL = re.compile(r"\s*SELECT\s+\*\s+FROM\s+'([^']+)'\s*", re.IGNORECASE)
SUBSTITUTION = re.compile(r"\$\{\s*([^}]*?)\s*\}")
PARSE_TIME = re.compile(r"""parse_time\(["']([^"']*)["'], timestamp\(\)\)""")
KNOWN = re.compile(r"(?i:clientid|newuuid|timestamp|topic)\(\)|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class Iot:
    """Every rule of the deployment."""

    def __init__(self, cloud: Cloud, kinesis: Kinesis) -> None:
        self._rules = [Rule(resource, cloud, kinesis) for resource in cloud.of_type("AWS::IoT::TopicRule")]

    def publish(self, topic: str, payload: bytes, client_id: str) -> None:
        """Do what every rule that listens to the topic says; a message that none listens to goes nowhere."""
        if len(payload) > MESSAGE_BYTES:
            raise ValueError(
                f"A message on {topic} has {len(payload):,} bytes; IoT takes {MESSAGE_BYTES:,}. Send parts."
            )
        for rule in self._rules:
            if rule.listens_to(topic):
                rule.apply(topic, payload, client_id)


class Rule:
    """`SELECT * FROM` a topic filter into one Kinesis stream."""

    def __init__(self, resource: Resource, cloud: Cloud, kinesis: Kinesis) -> None:
        where = f"The topic rule {resource.logical_id}"
        honour(where, resource.properties, ("RuleName", "TopicRulePayload"))
        rule = resource.properties["TopicRulePayload"]
        honour(where, rule, PAYLOAD, IGNORED)
        only(where, rule, "AwsIotSqlVersion", "2016-03-23")
        select, actions = SELECT_ALL.fullmatch(rule["Sql"]), [*rule["Actions"], rule.get("ErrorAction", {})]
        if not select or [list(action) for action in actions] != [["Kinesis"], ["S3"]]:
            raise NotHonoured(
                f"{where} is {rule['Sql']!r} with the actions {actions}. The laptop's AWS imitates * from a "
                "topic filter into one Kinesis stream, errors into S3: use these."
            )
        self._levels, self._to, self._errors = select[1].split("/"), actions[0]["Kinesis"], actions[1]["S3"]
        honour(where, self._to, ("PartitionKey", "RoleArn", "StreamName"))
        honour(where, self._errors, ("BucketName", "Key", "RoleArn"))
        for expression in SUBSTITUTION.findall(self._to["PartitionKey"] + self._errors["Key"]):
            if not KNOWN.fullmatch(expression) and not PARSE_TIME.fullmatch(expression):
                raise NotHonoured(
                    f"{where} substitutes ${{{expression}}}; the laptop's AWS knows clientid(), newuuid(), "
                    "parse_time(pattern, timestamp()), timestamp(), topic() and a field's path. Use these."
                )
        self._is_enabled = not rule.get("RuleDisabled", False)
        self._name, self._cloud, self._kinesis = resource.physical_id, cloud, kinesis
        kinesis.stream_for(self._to["RoleArn"], SERVICE, self._to["StreamName"], "PutRecord")

    def listens_to(self, topic: str) -> bool:
        names = topic.split("/")
        for number, level in enumerate(self._levels):
            if level == "#":
                return self._is_enabled and number < len(names)
            if number >= len(names) or level not in ("+", names[number]):
                return False
        return self._is_enabled and len(names) == len(self._levels)

    def apply(self, topic: str, payload: bytes, client_id: str) -> None:
        def fill(template: str) -> str:
            return SUBSTITUTION.sub(lambda found: self._value(found[1], topic, payload, client_id), template)

        try:
            partition_key = fill(self._to["PartitionKey"])
            stream = self._kinesis.stream(self._to["StreamName"])
        except (LookupError, NotHonoured) as error:  # the payload has no such field; the stream is gone
            self._report(fill(self._errors["Key"]), topic, payload, client_id, str(error))
        else:
            stream.put_record(partition_key, "", b64encode(payload).decode())

    def _value(self, expression: str, topic: str, payload: bytes, client_id: str) -> str:
        """Raise LookupError for a field that the payload does not have."""
        now = str(round(self._cloud.clock.now * 1000))
        known = {"clientid()": client_id, "newuuid()": str(uuid4()), "timestamp()": now, "topic()": topic}
        if expression.lower() in known:
            return known[expression.lower()]
        if moment := PARSE_TIME.fullmatch(expression):
            return java_time(self._cloud.clock.now, moment[1])
        try:
            value: Any = json.loads(payload)
            for name in expression.split("."):
                value = value[name]
        except (ValueError, TypeError, KeyError):
            value = None
        if value is None or isinstance(value, dict | list):
            raise LookupError(f"The payload has no value at {expression}.")
        return value if isinstance(value, str) else json.dumps(value)

    def _report(self, key: str, topic: str, payload: bytes, client_id: str, reason: str) -> None:
        place = {"failedAction": "KinesisAction", "failedResource": self._to["StreamName"]}
        document = {
            "ruleName": self._name,
            "topic": topic,
            "cloudwatchTraceId": str(uuid4()),
            "clientId": client_id,
            "base64OriginalPayload": b64encode(payload).decode(),
            "failures": [{**place, "errorMessage": reason}],
        }
        with self._cloud.policies.acting_as(self._errors["RoleArn"], service=SERVICE):
            body = json.dumps(document).encode()
            self._cloud.client("s3").put_object(Bucket=self._errors["BucketName"], Key=key, Body=body)
