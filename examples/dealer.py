"""An outside dealer in one file: opens the gateway's stream, quotes FX around its own mid, answers
last looks.

    ./orion token dealer:NORTHGATE > token
    python examples/dealer.py --address unix:/tmp/orion-…/core.rpc.sock --dealer NORTHGATE --token
    token --mid 1.14624

It needs grpcio and the stubs of contracts/proto/v1 (`python -m grpc_tools.protoc
-Icontracts/proto/v1 --python_out=. \
--grpc_python_out=. lp.proto common.proto`, or Orion itself on the path). While it is connected it
takes the place of the
simulated dealer of the same name.
"""

from __future__ import annotations

import argparse
import asyncio
from decimal import Decimal
from pathlib import Path

import grpc

try:
    from orion.wire.stubs import common_pb2, lp_pb2, lp_pb2_grpc
except ImportError:  # stubs made by protoc, beside this file
    import common_pb2
    import lp_pb2
    import lp_pb2_grpc

TICK = Decimal("0.00001")


class Dealer:
    """Quotes `width` either side of `mid`, whatever is asked, as long as its instrument is."""

    def __init__(self, instrument: str, mid: Decimal, width: Decimal):
        self.instrument, self.mid, self.width = instrument, mid, width
        self.quoted: dict[str, lp_pb2.FromDealer] = {}  # by RFQ: asked again, it answers the same

    def answer(self, message: lp_pb2.ToDealer) -> list[lp_pb2.FromDealer]:
        """What to say to one message of the gateway."""
        match message.WhichOneof("message"):
            case "request":
                return [self.quote(message.request)]
            case "last_look":
                look = message.last_look
                reply = lp_pb2.LastLookReply(
                    rfq_id=look.rfq_id, quote_id=look.quote_id, passed=True
                )
                return [lp_pb2.FromDealer(last_look=reply)]
            case "outcome" if not message.outcome.taken:
                print("not taken:", message.outcome.rfq_id, message.outcome.code)
            case "ended":
                self.quoted.pop(message.ended.rfq_id, None)
                print("ended:", message.ended.rfq_id, message.ended.how)
            case "welcome":
                print("connected as", message.welcome.lp_id)
        return []

    def quote(self, request: lp_pb2.QuoteRequest) -> lp_pb2.FromDealer:
        """A quote for the whole size, or a pass."""
        if request.instrument_id != self.instrument:
            declined = lp_pb2.PassAnswer(rfq_id=request.rfq_id, reason="NO_INTEREST")
            return lp_pb2.FromDealer(declined=declined)
        if request.rfq_id not in self.quoted:
            # The client's side: BUY means that we sell.
            side = 1 if request.side == common_pb2.BUY else -1
            price = (self.mid + side * self.width).quantize(TICK)
            quote = lp_pb2.QuoteAnswer(
                rfq_id=request.rfq_id,
                dealer_quote_ref="1",
                price=format(price, "f"),
                size=request.size,
                life_ms=5000,
            )
            self.quoted[request.rfq_id] = lp_pb2.FromDealer(quote=quote)
        return self.quoted[request.rfq_id]


def connection(options: argparse.Namespace) -> grpc.aio.Channel:
    """In the clear on the platform's own machine; else over TLS, with the dealer's certificate."""
    # A gateway that fell silent is noticed; more often than each second is not welcome.
    settings = [("grpc.keepalive_time_ms", 10_000), ("grpc.http2.ping_timeout_ms", 5_000)]
    if not options.ca:
        return grpc.aio.insecure_channel(options.address, options=settings)
    if options.server_name:
        settings.append(("grpc.ssl_target_name_override", options.server_name))
    files = (options.ca, options.key, options.certificate)
    credentials = grpc.ssl_channel_credentials(*(Path(name).read_bytes() for name in files))
    return grpc.aio.secure_channel(options.address, credentials, options=settings)


async def talk(options: argparse.Namespace, dealer: Dealer) -> None:
    """One stream, until it ends."""
    token = Path(options.token).read_text().strip()
    async with connection(options) as channel:
        stub = lp_pb2_grpc.LPGatewayServiceStub(channel)
        call = stub.Quote(metadata=(("authorization", f"Bearer {token}"),))
        hello = lp_pb2.DealerHello(lp_id=options.dealer, software="example-dealer/1")
        await call.write(lp_pb2.FromDealer(hello=hello))
        async for message in call:
            for said in dealer.answer(message):
                await call.write(said)


async def main() -> None:
    """Keeps the stream open."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True, help="the gateway's gRPC address")
    parser.add_argument("--dealer", required=True, help="the dealer to speak for: NORTHGATE …")
    parser.add_argument("--token", required=True, help="file with the dealer's token; read anew")
    parser.add_argument("--ca", help="file with the platform's authority; asks for TLS")
    parser.add_argument("--certificate", help="file with the dealer's certificate")
    parser.add_argument("--key", help="file with its key")
    parser.add_argument("--server-name", help="the gateway's name in its certificate")
    parser.add_argument("--instrument", default="EURUSD")
    parser.add_argument("--mid", type=Decimal, required=True)
    parser.add_argument("--width", type=Decimal, default=Decimal("0.00003"))
    options = parser.parse_args()
    if options.ca and not (options.certificate and options.key):
        parser.error("--ca needs --certificate and --key")
    dealer = Dealer(options.instrument, options.mid, options.width)
    while True:
        try:
            await talk(options, dealer)
        except grpc.aio.AioRpcError as error:
            print("the stream ended:", error.code().name, error.details())
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main())
