"""A deployed function runs its own asset's code, warm or cold, in its own environment and role."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.functions import FunctionError, Functions
from laptop.policies import PolicyError
from laptop.resources import DeployError
from tests.laptop.assembly import allow, arn, function, ref, role, write_assembly

# A package of the same name as this repository's, so that a function would find the checkout's if it could.
WORK = """
import json, os, sys, time
from lambdas.shared import seen

count = 0

def handler(event, context):
    global count
    count += 1
    seen.append(count)
    print("worked", count)
    return {
        "count": count,
        "seen": seen,
        "event": event,
        "name": context.function_name,
        "left": context.get_remaining_time_in_millis(),
        "environment": dict(os.environ),
        "time": time.time(),
    }

def checkout(event, context):
    import laptop

def breaks(event, context):
    raise ValueError(f"no {event['what']}")

def unserializable(event, context):
    return {1, 2}

def large(event, context):
    return "x" * event["size"]

def reads(event, context):
    import boto3
    try:
        boto3.client("s3").get_object(Bucket=os.environ["BUCKET"], Key="a")
        if event.get("more"):
            boto3.client("s3").list_buckets()
    except ValueError:
        pass
    return "read"
"""
LOGS = """
from aws_lambda_powertools import Logger

logger = Logger(service="lake")

def handler(event, context):
    logger.info("it happened", number=event["number"])
"""


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Callable[..., tuple[Functions, io.StringIO, dict[str, str]]]]:
    with ExitStack() as opened:

        def deployed(*statements: Any, **functions: Any) -> tuple[Functions, io.StringIO, dict[str, str]]:
            cloud = opened.enter_context(Cloud(Clock(1_700_000_000.0)))
            stack = {"Bucket": {"Type": "AWS::S3::Bucket"}, "Role": role(*statements), **functions}
            code = {"lambdas/work.py": WORK, "lambdas/logs.py": LOGS, "lambdas/shared.py": "seen = []"}
            cloud.deploy(write_assembly(tmp_path, {"Lake": stack}, code=code))
            ids = {logical_id: resource.physical_id for (_, logical_id), resource in cloud.resources.items()}
            cloud.client("s3").put_object(Bucket=ids["Bucket"], Key="a", Body=b"")
            log = io.StringIO()
            return Functions(cloud, log), log, ids

        yield deployed


def work(handler: str = "handler", **more: Any) -> dict[str, Any]:
    return function(handler=f"lambdas.work.{handler}", **more)


@pytest.mark.fidelity(
    service="Lambda",
    behaviour="a function sees its own variables beside those that Lambda sets, in UTC",
    source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html",
    falls_short="those of hosts, traces and session tokens are left out",
)
@pytest.mark.fidelity(
    service="Lambda",
    behaviour="its context has its name and the milliseconds that are left",
    source="https://docs.aws.amazon.com/lambda/latest/dg/python-context.html",
    falls_short="they pass by the real clock, and nothing ends at zero",
)
def test_a_function_runs_in_what_was_deployed_and_nothing_of_it_stays(deploy: Callable[..., Any]) -> None:
    # given a function with an environment
    variables = {"Variables": {"BUCKET": ref("Bucket"), "LEVEL": "7"}}
    functions, log, ids = deploy(Work=work(Environment=variables, MemorySize=512, Timeout=30))
    environment, modules, path = dict(os.environ), set(sys.modules), list(sys.path)
    # when it is invoked
    answer = functions.invoke(ids["Work"], {"a": (1, "ü")})
    # then it sees its event as JSON, its own environment, the clock's time
    assert answer["event"] == {"a": [1, "ü"]}
    assert answer["name"] == ids["Work"]
    assert 0 < answer["left"] <= 30_000
    assert answer["time"] == 1_700_000_000.0
    seen = answer["environment"]
    assert (seen["BUCKET"], seen["LEVEL"]) == (ids["Bucket"], "7")
    assert (seen["AWS_LAMBDA_FUNCTION_NAME"], seen["AWS_REGION"]) == (ids["Work"], "us-east-1")
    assert (seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], seen["TZ"]) == ("512", ":UTC")
    assert (seen["_HANDLER"], seen["AWS_EXECUTION_ENV"]) == ("lambdas.work.handler", "AWS_Lambda_python3.13")
    assert not {"HOME", "PYTEST_CURRENT_TEST"} & set(seen)
    # and what it prints is in the log, and the process is as before
    assert log.getvalue() == "worked 1\n"
    assert (dict(os.environ), list(sys.path)) == (environment, path)
    assert not {name for name in set(sys.modules) - modules if name.startswith("lambdas")}


@pytest.mark.fidelity(
    service="Lambda",
    behaviour="a warm environment keeps what a module holds; each function has its own",
    source="https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html",
    falls_short="one for each function, which ends only when a test says so",
)
def test_a_warm_container_keeps_its_globals_and_a_forgotten_one_does_not(deploy: Callable[..., Any]) -> None:
    functions, _, ids = deploy(Work=work(), Other=work())
    counts = [functions.invoke(ids["Work"], {})["seen"] for _ in range(2)]
    assert counts == [[1], [1, 2]]
    # another function with the same asset has its own
    assert functions.invoke(ids["Other"], {})["seen"] == [1]
    functions.forget(ids["Work"])
    assert functions.invoke(ids["Work"], {})["seen"] == [1]
    assert functions.invoke(ids["Other"], {})["seen"] == [1, 2]


@pytest.mark.fidelity(
    service="Lambda",
    behaviour="a function is invoked by name, ARN or ARN with an alias",
    source="https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html",
    falls_short="every alias and version is $LATEST",
)
@pytest.mark.parametrize("qualifier", ["", ":live"])
def test_a_function_is_found_by_name_and_by_arn(deploy: Callable[..., Any], qualifier: str) -> None:
    functions, _, ids = deploy(Work=work())
    for name in (ids["Work"], f"arn:aws:lambda:us-east-1:123456789012:function:{ids['Work']}"):
        assert functions.invoke(f"{name}{qualifier}", {})["name"] == ids["Work"]


def test_a_function_that_was_not_deployed_is_refused(deploy: Callable[..., Any]) -> None:
    functions, _, _ = deploy()
    with pytest.raises(DeployError, match="No function nothing was deployed"):
        functions.invoke("nothing", {})


@pytest.mark.fidelity(
    service="Lambda",
    behaviour="an exception is answered with its type, message and trace",
    source="https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html",
)
def test_an_exception_becomes_a_failed_invocation(deploy: Callable[..., Any]) -> None:
    functions, log, ids = deploy(Work=work("breaks"))
    with pytest.raises(FunctionError) as error:
        functions.invoke(ids["Work"], {"what": "rows"})
    assert (error.value.kind, error.value.message) == ("ValueError", "no rows")
    assert 'raise ValueError(f"no {event[' in error.value.trace
    assert "ValueError: no rows" in log.getvalue()


@pytest.mark.fidelity(
    service="Lambda",
    behaviour=(
        "what cannot be imported is Runtime.ImportModuleError, an answer that is no JSON Runtime.MarshalError"
    ),
    source="https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html",
    falls_short="Runtime.HandlerNotFound is on no page that was found",
)
@pytest.mark.parametrize(
    ("handler", "kind", "sentence"),
    [
        ("lambdas.nowhere.handler", "Runtime.ImportModuleError", "No module named 'lambdas.nowhere'"),
        ("lambdas.work.nothing", "Runtime.HandlerNotFound", "Handler 'nothing' missing"),
        ("lambdas.work.unserializable", "Runtime.MarshalError", "not JSON serializable"),
        # The checkout is not part of the asset.
        ("lambdas.work.checkout", "ModuleNotFoundError", "No module named 'laptop'"),
    ],
)
def test_what_lambda_could_not_run_fails(
    deploy: Callable[..., Any], handler: str, kind: str, sentence: str
) -> None:
    functions, _, ids = deploy(Work=function(handler=handler))
    with pytest.raises(FunctionError, match=sentence) as error:
        functions.invoke(ids["Work"], {})
    assert error.value.kind == kind


@pytest.mark.fidelity(
    service="Lambda",
    behaviour="a request and an answer have 6 MB at most",
    source="https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html",
    falls_short="that the answer may have 100 bytes more is recorded by the project alone",
)
def test_six_megabytes_are_the_limit_both_ways(deploy: Callable[..., Any]) -> None:
    functions, _, ids = deploy(Work=work("large"))
    six = 6 * 1024 * 1024
    assert len(functions.invoke(ids["Work"], {"size": six})) == six
    with pytest.raises(FunctionError, match=r"RequestTooLargeException: Request has 6291476 bytes"):
        functions.invoke(ids["Work"], {"size": 1, "x": "x" * six})
    with pytest.raises(FunctionError, match=r"Function.ResponseSizeTooLarge: Response has 6291557 bytes"):
        functions.invoke(ids["Work"], {"size": six + 99})


@pytest.mark.fidelity(
    service="Lambda",
    behaviour="a function calls AWS with the rights of its role",
    source="https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html",
)
def test_a_function_acts_under_its_role(deploy: Callable[..., Any]) -> None:
    variables = {"Variables": {"BUCKET": ref("Bucket")}}
    may = allow("s3:GetObject", on={"Fn::Sub": "${Bucket.Arn}/*"})
    reads: dict[str, Any] = {"Environment": variables, "handler": "reads"}
    functions, _, ids = deploy(may, Reads=work(**reads), Other=role(), Denied=work(**reads, role="Other"))
    assert functions.invoke(ids["Reads"], {}) == "read"
    with pytest.raises(
        FunctionError, match=r"not authorized to perform s3:GetObject on arn:aws:s3:::lake-bucket"
    ):
        functions.invoke(ids["Denied"], {})
    # and a call that the laptop cannot judge is no failed invocation to be retried: it stops the run
    with pytest.raises(PolicyError, match="calls ListBuckets"):
        functions.invoke(ids["Reads"], {"more": True})


@pytest.mark.fidelity(
    service="Lambda",
    behaviour="a function's log is written with its role",
    source="https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html",
    falls_short="the run stops, where AWS loses the log and says nothing",
)
def test_a_function_whose_role_may_not_write_its_log_is_refused(deploy: Callable[..., Any]) -> None:
    silent = role()
    silent["Properties"]["Policies"][0]["PolicyDocument"]["Statement"] = [allow("s3:*", on=arn("Bucket"))]
    functions, _, ids = deploy(Silent=silent, Work=work(role="Silent"))
    with pytest.raises(Exception, match="not authorized to perform logs:CreateLogStream"):
        functions.invoke(ids["Work"], {})


@pytest.mark.fidelity(
    service="Lambda",
    behaviour="a function's role has to trust Lambda",
    source="https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html",
)
def test_a_function_whose_role_lambda_may_not_assume_is_refused(deploy: Callable[..., Any]) -> None:
    functions, _, ids = deploy(Foreign=role(service="iot.amazonaws.com"), Work=work(role="Foreign"))
    with pytest.raises(PolicyError, match=r"does not let lambda.amazonaws.com assume it"):
        functions.invoke(ids["Work"], {})


def test_logs_go_to_the_log_of_the_run_even_in_a_second_run(
    deploy: Callable[..., Any], tmp_path: Path
) -> None:
    # given a logger that kept the stream of a first run, which is closed
    functions, first, ids = deploy(Work=function(handler="lambdas.logs.handler"))
    functions.invoke(ids["Work"], {"number": 1})
    assert '"number":1' in first.getvalue()
    first.close()
    # when a second run invokes the function
    second = io.StringIO()
    Functions(functions._cloud, second).invoke(ids["Work"], {"number": 2})
    # then its lines are in the second run's log
    assert '"number":2' in second.getvalue()
    # and nothing was compiled into the asset, which would then be deployed
    assert not list((tmp_path / "asset.code").rglob("__pycache__"))
