"""Lambda on a laptop: each deployed function's own code, environment and role, in this process.

A function runs from its asset in cdk.out; third-party packages come from the virtual environment. Its modules
are kept between invocations, as a warm container keeps them.
Not honoured: time-outs, memory, concurrency, what is in a layer.
"""

import contextlib
import importlib
import io
import json
import os
import sys
import sysconfig
import time
import traceback
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TextIO  # payloads are as mixed as JSON
from unittest import mock

from laptop.cloud import ENVIRONMENT, Cloud
from laptop.resources import ACCOUNT, DeployError, Resource

REQUEST_LIMIT = 6 * 1024 * 1024
RESPONSE_LIMIT = REQUEST_LIMIT + 100
_LIBRARIES = tuple({sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class FunctionError(Exception):
    """An invocation failed: what Lambda answers for it."""

    def __init__(self, kind: str, message: str, trace: str = "") -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.trace = trace


@dataclass(frozen=True, kw_only=True)
class LambdaContext:
    """What a handler is told about its invocation."""

    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: int
    log_group_name: str
    timeout: float
    function_version: str = "$LATEST"
    log_stream_name: str = "laptop"
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(1000 * (self.started + self.timeout - time.monotonic())))


class _Console(io.TextIOBase):
    """What functions print to. A logger keeps the stream that it first saw, so this one outlives any log."""

    log: TextIO = sys.stderr

    def write(self, text: str) -> int:
        return self.log.write(text)


_CONSOLE = _Console()


class Functions:
    """The deployed functions. What they print and log goes to `log`."""

    def __init__(self, cloud: Cloud, log: TextIO) -> None:
        self._cloud = cloud
        self._log = log
        self._containers: dict[str, _Container] = {}

    def invoke(self, function: str, payload: Any) -> Any:
        """Run a function, given by name, ARN or qualified ARN, and return what its handler answers.

        Raises FunctionError where Lambda answers with an error: the handler raised, it cannot be loaded, or
        request or response are larger than 6 MB.
        """
        container = self._container(function)
        request = _serialized(payload, REQUEST_LIMIT, "RequestTooLargeException", "Request")
        context = LambdaContext(**container.identity)
        with (
            mock.patch.object(_CONSOLE, "log", self._log),
            contextlib.redirect_stdout(_CONSOLE),
            contextlib.redirect_stderr(_CONSOLE),
            self._cloud.policies.acting_as(container.role, service="lambda.amazonaws.com"),
            container.entered(),
            mock.patch("time.time", self._now),
        ):
            try:
                answer = container.handler()(json.loads(request), context)
            except FunctionError:
                raise
            except Exception as error:
                trace = traceback.format_exc()
                self._log.write(f"{context.function_name} {context.aws_request_id} failed\n{trace}")
                raise FunctionError(type(error).__name__, str(error), trace) from error
        return json.loads(_serialized(answer, RESPONSE_LIMIT, "Function.ResponseSizeTooLarge", "Response"))

    def forget(self, function: str) -> None:
        """Let the next invocation start cold."""
        self._containers.pop(self._container(function).identity["function_name"])

    def _now(self) -> float:
        return self._cloud.clock.now

    def _container(self, function: str) -> "_Container":
        name = function.split(":")[6 if function.startswith("arn:") else 0]
        if name not in self._containers:
            found = [r for r in self._cloud.of_type("AWS::Lambda::Function") if r.physical_id == name]
            if not found:
                raise DeployError(f"No function {name} was deployed. Invoke one that the templates create.")
            self._containers[name] = _Container(self._cloud, found[0])
        return self._containers[name]


class _Container:
    """One function: where it stands, and the modules that it has loaded."""

    def __init__(self, cloud: Cloud, function: Resource) -> None:
        properties, name = function.properties, function.physical_id
        code = cloud.assets.get((properties["Code"].get("S3Bucket"), properties["Code"].get("S3Key")))
        if code is None or not code.is_dir() or not properties.get("Runtime", "").startswith("python3."):
            raise DeployError(
                f"Stack {function.stack}: {function.logical_id} is no Python in a folder of cdk.out. "
                "Make it so: the laptop runs nothing else."
            )
        log_group = properties.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}")
        self.role: str = properties["Role"]
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            # Lambda writes the log with the function's role; without the right it is lost silently.
            group = f"arn:aws:logs:{cloud.region}:{ACCOUNT}:log-group:{log_group}"
            cloud.policies.require(self.role, action, f"{group}:log-stream:laptop")
        self.identity: dict[str, Any] = {
            "function_name": name,
            "invoked_function_arn": f"arn:aws:lambda:{cloud.region}:{ACCOUNT}:function:{name}",
            "memory_limit_in_mb": int(properties.get("MemorySize", 128)),
            "log_group_name": log_group,
            "timeout": float(properties.get("Timeout", 3)),
        }
        self._code = code
        self._handler: str = properties["Handler"]
        self._modules: dict[str, ModuleType] = {}
        self._environment: dict[str, str] = {
            **ENVIRONMENT,
            "AWS_DEFAULT_REGION": cloud.region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{properties['Runtime']}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.identity["memory_limit_in_mb"]),
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": "laptop",
            "AWS_REGION": cloud.region,
            "LAMBDA_TASK_ROOT": str(code),
            "PATH": os.environ.get("PATH", os.defpath),
            "TZ": ":UTC",
            "_HANDLER": self._handler,
            **properties.get("Environment", {}).get("Variables", {}),
        }

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Only this function's modules, environment and path are there, beside the libraries."""
        outside = _taken_out()
        sys.modules.update(self._modules)
        path = [str(self._code), *(entry for entry in sys.path if entry.startswith(_LIBRARIES))]
        try:
            with (
                mock.patch.dict(os.environ, self._environment, clear=True),
                mock.patch.object(sys, "path", path),
                # What Python compiles is kept beside the asset: inside, it would be deployed.
                mock.patch.object(sys, "pycache_prefix", str(self._code.parent / "__pycache__")),
            ):
                yield
        finally:
            self._modules = _taken_out()
            sys.modules.update(outside)

    def handler(self) -> Any:
        module, _, name = self._handler.rpartition(".")
        try:
            return getattr(importlib.import_module(module.replace("/", ".")), name)
        except ImportError as error:
            kind, message = "Runtime.ImportModuleError", f"Unable to import module '{module}': {error}"
        except AttributeError as error:
            kind, message = (
                "Runtime.HandlerNotFound",
                f"Handler '{name}' missing on module '{module}': {error}",
            )
        raise FunctionError(kind, message, traceback.format_exc())


_library_modules: set[str] = set()  # known to be nobody's own, so that they are not looked at again


def _taken_out() -> dict[str, ModuleType]:
    """Remove from sys.modules what belongs neither to Python nor to an installed package."""
    own = {}
    for name in sys.modules.keys() - _library_modules:
        module = sys.modules[name]
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", [])]
        place = next((place for place in places if place), "")
        if name == "__main__" or not place or place.startswith(_LIBRARIES):
            _library_modules.add(name)
        else:
            own[name] = module
    for name in own:  # last: a namespace package's path asks for its parent
        del sys.modules[name]
    return own


def _serialized(value: Any, limit: int, kind: str, what: str) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise FunctionError("Runtime.MarshalError", f"{what} cannot be JSON: {error}") from error
    if (size := len(text.encode())) > limit:
        raise FunctionError(kind, f"{what} has {size} bytes, more than the {limit} that are allowed")
    return text
