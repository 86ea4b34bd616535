"""The gates over the templates, and what they say when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stacks import check
from stacks.check import lint_findings, nag_findings, sql_findings, synthesize


def test_cdk_nag_finds_nothing_that_is_not_acknowledged(cdk_out: Path) -> None:
    assert list(nag_findings(cdk_out)) == []


def test_cfn_lint_finds_nothing(cdk_out: Path) -> None:
    assert list(lint_findings(cdk_out)) == []


def test_every_view_and_saved_query_passes_the_sql_gate(cdk_out: Path) -> None:
    assert sql_findings(cdk_out) == []


def test_the_sql_gate_knows_the_tables_of_the_templates(tmp_path: Path) -> None:
    findings = sql_findings(tmp_path)

    assert [finding for finding in findings if "temperature_distinct" in finding]


def test_a_finding_of_cdk_nag_says_where_and_what_to_do(tmp_path: Path) -> None:
    violation = {
        "ruleName": "AwsSolutions-S1",
        "description": "The bucket has no access logs.",
        "violatingConstructs": [{"constructPath": "freshet-lake/Lake/Bucket/Resource"}],
    }
    report = {"pluginReports": [{"pluginName": "AwsSolutions", "violations": [violation]}]}
    (tmp_path / "validation-report.json").write_text(json.dumps(report))

    assert list(nag_findings(tmp_path)) == [
        "freshet-lake/Lake/Bucket/Resource: AwsSolutions-S1: The bucket has no access logs. Mend it, or "
        "acknowledge it there with the reason."
    ]


def test_a_finding_of_cfn_lint_says_where(tmp_path: Path) -> None:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"Nme": "lake"}}
    (tmp_path / "freshet-lake.template.json").write_text(json.dumps({"Resources": {"Lake": bucket}}))

    (finding,) = lint_findings(tmp_path)

    assert finding.startswith("freshet-lake.template.json/Resources/Lake/Properties/Nme: E3002: ")


def test_the_app_stops_with_the_sentence_alone(tmp_path: Path) -> None:
    done = synthesize(tmp_path, {"pipelines": "temprature"})

    assert done.returncode == 1
    assert done.stderr == (
        "cdk.json, freshet.pipelines: there is no pipeline 'temprature'; did you mean temperature.\n"
    )


def test_size_counts_what_somebody_wrote_in_the_rooms(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(check, "ROOT", tmp_path)
    for room, lines in (("laptop", 4), ("stacks", 5), ("lambdas", 5)):
        (tmp_path / room / "__pycache__").mkdir(parents=True)
        (tmp_path / room / "__pycache__" / "made.pyc").write_bytes(b"\n" * 100)
        (tmp_path / room / "written.py").write_text("line\n" * lines)

    assert check.size() == ("laptop/ has 4 lines, 40% of the 10 in stacks/ and lambdas/", True)

    (tmp_path / "laptop" / "page.css").write_text("line\n")
    assert check.size() == ("laptop/ has 5 lines, 50% of the 10 in stacks/ and lambdas/", False)
