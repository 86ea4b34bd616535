"""A month's costs: each figure by hand from its price, and what READMEs say of them."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from lambdas.columns import DeclarationError
from lambdas.effects.session import ENTRIES_A_BASE
from lambdas.model import Kinesis, Load, seconds
from pipelines import discovery
from stacks import costs
from stacks.costs import Costs, Flow, Row

NAMES = discovery.names()


@pytest.fixture(scope="module")
def reckoned(cdk_out: Path) -> dict[str, Costs]:
    return {each.of: each for each in costs.reckon(cdk_out, discovery.discover().values())}


def readme_table(of: Costs) -> str:
    """The reckoning as a pipeline's README has it."""
    rows = [f"| {row.what} | {row.reckoned} | {row.loaded:.2f} |" for row in of.rows if row.loaded >= 0.005]
    return "\n".join(["| what | reckoned | $ |", "| --- | --- | --- |", *rows])


def row(of: Costs, what: str) -> Row:
    return next(each for each in of.rows if each.what == what)


def flow(**changes: Any) -> Flow:
    given = discovery.load("temperature")
    return Flow(dataclasses.replace(given, **changes), shards=1)


def test_temperature_is_reckoned_as_by_hand(reckoned: dict[str, Costs]) -> None:
    of, events = reckoned["temperature"], 3 * 730 * 3600

    assert row(of, "the stream").idle == pytest.approx(730 * 0.015)
    assert row(of, "the stream").loaded == pytest.approx(730 * 0.015 + events * 0.014e-6)
    batches = 730 * 3600 / 5
    assert row(of, "the state log").idle == 0
    assert row(of, "the state log").loaded == pytest.approx(batches * 66 / 64 * 5e-6)
    gigabytes = events * 5 * 1024 / 2**30
    files = 730 * 3600 / 300
    assert row(of, "Firehose to Parquet").loaded == pytest.approx(gigabytes * 0.047 + files * 5e-6)
    assert row(of, "looks at the state log").idle == pytest.approx(730 * 60 * 5.4e-6)
    assert of.idle == pytest.approx(sum(each.idle for each in of.rows))


def test_each_metric_of_an_alarm_is_paid_for(reckoned: dict[str, Costs], cdk_out: Path) -> None:
    template = json.loads((cdk_out / "freshet-temperature.template.json").read_text())
    watched = json.dumps(template).count('"MetricStat"')

    assert row(reckoned["temperature"], "alarms").loaded == pytest.approx(0.10 * watched)


def test_windows_of_each_key_go_to_the_lake_too(reckoned: dict[str, Costs]) -> None:
    of, gigabyte = reckoned["heart_rate"], 5 * 1024 / 2**30

    beats, minutes = 2 * 730 * 3600 * gigabyte, 10 * 730 * 60 * gigabyte
    files = 730 * 3600 / 300 * 5e-6
    assert row(of, "Firehose to Parquet").loaded == pytest.approx((beats + minutes) * 0.047 + files)
    assert row(of, "IoT").loaded == pytest.approx(2 * 730 * 3600 / 2 * 1.30e-6)


def test_a_tenfold_load_costs_what_its_records_cost() -> None:
    properties = {"ShardCount": 1, "RetentionPeriodHours": 24}
    usual, busy = (
        costs.grouped(costs.stream(properties, flow(load=Load(events_per_second=rate))))[0]
        for rate in (3, 30)
    )

    assert busy.idle == usual.idle
    assert busy.loaded - busy.idle == pytest.approx(10 * (usual.loaded - usual.idle))


def test_streams_on_demand_or_kept_longer_have_their_own_prices() -> None:
    on_demand = {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}, "RetentionPeriodHours": 24}
    kept = {"ShardCount": 1, "RetentionPeriodHours": 24 * 8}

    [own, *_] = costs.grouped(costs.stream(on_demand, flow()))
    [longer, *_] = costs.grouped(costs.stream(kept, flow()))

    assert own.idle == pytest.approx(730 * 0.04)
    assert longer.idle == pytest.approx(730 * 0.035)
    assert "kept over a week" in longer.reckoned


def test_a_loop_costs_little_while_nothing_is_awaited_and_else_runs_for_its_minute() -> None:
    [clock] = costs.grouped(costs.loop({}, flow(tick=seconds(10))))

    minutes, gigabyte_hours = 730 * 60, 64 / 1024 / 3600
    assert clock.idle == pytest.approx(minutes * (1e-6 + 0.1 * gigabyte_hours * 0.06))
    assert clock.loaded == pytest.approx(minutes * (1e-6 + 50 * gigabyte_hours * 0.06))


def test_a_tick_below_a_minute_looks_so_often_at_the_state_log(reckoned: dict[str, Costs]) -> None:
    looks, each = row(reckoned["casino"], "looks at the state log"), 5.4e-6

    assert looks.idle == pytest.approx(730 * 60 * each)
    assert looks.loaded == pytest.approx(730 * 60 * 6 * each)


def test_a_line_of_its_own_costs_by_shard_or_by_what_goes_through_it() -> None:
    own, on_demand = (
        costs.grouped(costs.own_line({}, flow(sources=[Kinesis(fan_out=True, provisioned=count)])))[0]
        for count in (1, None)
    )

    gigabytes = own.uses[1].loaded
    assert gigabytes == flow().gigabytes
    assert own.idle == pytest.approx(730 * 0.015)
    assert own.loaded == pytest.approx(own.idle + gigabytes * 0.013)
    assert on_demand.idle == 0
    assert on_demand.loaded == pytest.approx(gigabytes * 0.05)


def test_what_goes_through_its_own_line_is_not_paid_for_twice() -> None:
    stream = {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}, "RetentionPeriodHours": 24}
    shared, own = (
        costs.grouped(costs.stream(stream, flow(sources=[Kinesis(fan_out=each, provisioned=None)])))[0]
        for each in (False, True)
    )

    assert shared.loaded - own.loaded == pytest.approx(flow().gigabytes * 0.04)


def test_a_nightly_job_costs_where_it_is_switched_on() -> None:
    assert list(costs.trigger({"StartOnCreation": False}, flow())) == []
    [nightly] = costs.grouped(costs.trigger({"StartOnCreation": True}, flow()))
    assert nightly.idle == pytest.approx(2 * 2 / 60 * 730 / 24 * 0.44)


def test_a_resource_of_a_kind_that_nobody_priced_stops_the_reckoning() -> None:
    with pytest.raises(NotImplementedError, match="what AWS::EC2::NatGateway costs is not said"):
        list(costs.priced({"Type": "AWS::EC2::NatGateway"}, costs.OF_PIPELINE, flow()))


def test_templates_of_an_earlier_synth_in_the_same_folder_are_not_reckoned(
    reckoned: dict[str, Costs], cdk_out: Path, tmp_path: Path
) -> None:
    manifest = json.loads((cdk_out / "manifest.json").read_text())
    del manifest["artifacts"]["freshet-casino"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    for template in cdk_out.glob("*.template.json"):
        (tmp_path / template.name).write_text(template.read_text())

    found = costs.reckon(tmp_path, [discovery.load("temperature"), discovery.load("heart_rate")])

    assert found == [reckoned[name] for name in ("temperature", "heart_rate", "what all share")]


def test_no_kind_of_resource_is_both_priced_and_free() -> None:
    assert not costs.FREE.keys() & (costs.OF_PIPELINE.keys() | costs.SHARED.keys())


def test_a_base_of_the_state_log_comes_as_often_as_it_is_written() -> None:
    assert costs.ENTRIES_A_BASE == ENTRIES_A_BASE


@pytest.mark.parametrize("name", NAMES)
def test_readme_says_what_is_reckoned(reckoned: dict[str, Costs], name: str) -> None:
    text, of = (discovery.ROOT / name / "README.md").read_text(), reckoned[name]

    if f"./freshet costs {name}" not in text:
        assert readme_table(of) in text
        said = re.search(r"About \$(\d+) for .*? a second", text, flags=re.DOTALL)
        assert said
        assert int(said[1]) == round(of.loaded)


def test_what_is_printed_adds_up(reckoned: dict[str, Costs]) -> None:
    text = costs.table(list(reckoned.values()))

    together = [float(found) for found in re.findall(r"^ +[0-9.]+ +([0-9.]+)  together$", text, re.MULTILINE)]
    [everything] = re.findall(r"^ +[0-9.]+ +([0-9.]+)  all$", text, re.MULTILINE)
    assert sum(together) == pytest.approx(float(everything), abs=0.03)
    assert "temperature, at 3 events a second of 3 keys" in text


def test_costs_of_a_pipeline_that_is_not_there_are_refused() -> None:
    with pytest.raises(
        DeclarationError, match=r"^temprature: there is no such pipeline; did you mean temper"
    ):
        costs.costs(["temprature"])


def test_a_cdk_json_that_is_no_json_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cdk.json").write_text('{"context": {\n"freshet": {},\n}}')
    monkeypatch.setattr(discovery, "ROOT", tmp_path / "pipelines")

    with pytest.raises(
        DeclarationError, match=r"^cdk\.json, line \d: it is no JSON \(.*\); mend it there\.$"
    ):
        costs.costs([])
