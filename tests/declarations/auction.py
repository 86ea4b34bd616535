"""Bids of auctions on a blockchain: money that comes at once, crowds, and owners who bid for their own."""

from lambdas.columns import Double, Integer, Text, Timestamp, count, distinct, total
from lambdas.detectors.threshold import Threshold
from lambdas.detectors.window import Window
from lambdas.formats.json_objects import Json
from lambdas.model import HIGH, LOW, MEDIUM, Event, Pipeline, minutes, seconds
from tests.declarations.declared import Polled


class Bid(Event, key="auction_id", time="mined_at", id="bid_id"):
    bid_id = Text("transaction and place of the event in it")
    block_number = Integer("the block that holds it")
    auction_id = Text("which auction")
    bidder = Text("the address that bids")
    owner = Text("the address that auctions")
    amount = Double("what is bid", unit="ETH")
    mined_at = Timestamp("the block's time", form="seconds")


pipeline = Pipeline(
    about="bids of a smart contract's auctions; spending, crowds and owners' own bids",
    event=Bid,
    sources=[Polled(every=minutes(1), method="eth_getLogs")],
    formats=[Json()],
    lateness=minutes(1),
    detectors=[
        Window(name="block_spend", key=Bid.block_number, every=seconds(15),
               when=total(Bid.amount) > 100, also=[count()], severity=MEDIUM,
               do_first="See which auctions the block's bids are for, and whether one address made them."),
        Window(name="many_bidders", every=seconds(15), when=distinct(Bid.bidder) > 20, severity=LOW,
               max_keys=300, do_first="Look whether the auction was announced or bots came."),
        Threshold(name="own_bid", when=Bid.bidder.is_(Bid.owner), severity=HIGH, show=[Bid.amount],
                  do_first="Hold the auction's payout and compare the owner's other auctions."),
    ],
)
