"""The third-party packages of every function, fetched for deploying only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from lambdas.columns import DeclarationError

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "lambdas" / "requirements.txt"
RUNTIME = lambda_.Runtime.PYTHON_3_13
ARCHITECTURE = lambda_.Architecture.ARM_64
# Both names of what Lambda's Amazon Linux 2023 runs: by the older alone pip finds old versions, or none.
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_28_aarch64")


@jsii.implements(cdk.ILocalBundling)
class PipBundling:
    """Installs the lock's wheels for Lambda, whatever this machine is. Nothing is built, so no Docker."""

    failure: DeclarationError | None = None  # jsii wraps what is raised into an error of its own

    def try_bundle(self, output_dir: str, *, image: cdk.DockerImage, **_: Any) -> bool:
        platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # The lock is complete: what a package asks for is not resolved again by the markers of this Python.
        command += ["--no-compile", "--no-deps", "--require-hashes", "--only-binary=:all:"]
        command += ["--implementation=cp", "--python-version=3.13", *platforms, "--requirement", str(LOCK)]
        command += ["--target", str(Path(output_dir) / "python")]
        done = subprocess.run(command, check=False, stdout=sys.stderr)  # noqa: S603  # no part is input
        if done.returncode:
            self.failure = DeclarationError(
                "lambdas/requirements.txt: pip could not fetch these packages for Lambda, as it says above; "
                "see that the package index can be reached, then deploy again."
            )
            raise self.failure
        return True


class PackagesLayer(Construct):
    """A layer of `lambdas/requirements.txt`.

    Only `cdk deploy`, `diff` and `synth` fetch it: the CLI says which stacks it wants bundled, and app.py
    says none when it runs without the CLI. Then the asset is the lock alone: laptop and tests need no more.
    """

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        bundling = PipBundling()
        try:
            self.layer = lambda_.LayerVersion(
                self,
                "Layer",
                description="what lambdas/requirements.txt locks",
                compatible_runtimes=[RUNTIME],
                compatible_architectures=[ARCHITECTURE],
                code=lambda_.Code.from_asset(
                    str(LOCK.parent),
                    exclude=["*", f"!{LOCK.name}"],
                    # Left to CDK, an asset that is not bundled is the whole folder where it lies.
                    bundling=self._bundling(bundling) if cdk.Stack.of(self).bundling_required else None,
                ),
            )
        except RuntimeError:
            if bundling.failure is None:
                raise
            raise bundling.failure from None

    def _bundling(self, local: PipBundling) -> cdk.BundlingOptions:
        # The image is never used: PipBundling does it, or stops the synth.
        return cdk.BundlingOptions(image=RUNTIME.bundling_image, local=local)
