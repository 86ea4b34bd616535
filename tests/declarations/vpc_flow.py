"""Flow logs of a network: traffic that was turned away, port scans, and flows unlike the others."""

from lambdas.columns import Integer, Text, Timestamp, count, distinct, total
from lambdas.detectors.window import Window
from lambdas.model import HIGH, LOW, MEDIUM, Event, Pipeline, minutes
from tests.declarations.declared import LogEvents, LogsSubscription, RandomCutForest


class Flow(Event, key="interface_id", time="started_at", id="record_id"):
    record_id = Text("one for each record of the log", source="id")
    version = Integer("of the format")
    account_id = Text("whose network")
    interface_id = Text("which network interface")
    source_address = Text("where it came from", source="srcaddr")
    target_address = Text("where it went", source="dstaddr")
    source_port = Integer("the port it came from", source="srcport")
    target_port = Integer("the port it went to", source="dstport")
    protocol = Integer("IANA's protocol number: 6 is TCP, 17 UDP, 1 ICMP")
    packets = Integer("in this record", unit="packets")
    octets = Integer("in this record", unit="B", source="bytes")
    started_at = Timestamp("first packet", form="seconds", source="start")
    ended_at = Timestamp("last packet", form="seconds", source="end")
    action = Text("ACCEPT or REJECT")
    log_status = Text("OK, NODATA or SKIPDATA", source="log-status")


rejected = Flow.action.is_("REJECT")
line = [column for name, column in Flow.columns.items() if name != "record_id"]

pipeline = Pipeline(
    about="a network's flow logs; rejected traffic, port scans and strange flows",
    event=Flow,
    sources=[LogsSubscription(log_group="/freshet/vpc_flow")],
    formats=[LogEvents(line=line)],
    lateness=minutes(10),
    detectors=[
        Window(name="rejected", key=Flow.protocol, every=minutes(15), where=rejected, metric=True,
               when=total(Flow.packets) > 10_000, also=[count()], severity=MEDIUM, max_keys=20,
               do_first="Ask for the top ten rejected sources of the last hour."),
        Window(name="port_scan", key=Flow.source_address, every=minutes(1), where=rejected, distinct_cap=200,
               when=distinct(Flow.target_port) > 100, severity=HIGH, max_keys=900, keep=False,
               do_first="Block the address in the network's access list, then see what it reached."),
        RandomCutForest(name="strange_flow", on=[Flow.octets, Flow.packets], severity=LOW, max_keys=20,
                        do_first="Look who talks through this interface and since when."),
    ],
)
