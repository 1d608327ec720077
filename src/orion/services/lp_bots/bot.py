"""One simulated dealer: hears requests, waits its time, prices, stands by its quotes or does not.
No await, no clock of its own."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from orion.core.quoting import Circumstances, PricingModel, drift_pips, quote_price
from orion.core.values import Side, floor_to, plain
from orion.services.lp_bots.config import Config
from orion.services.lp_bots.dice import Dice
from orion.services.lp_bots.market import Tradable
from orion.services.lp_bots.profile import Profile
from orion.wire.stubs import common_pb2, lp_pb2

SECOND = 1_000_000
MAX_REMEMBERED = 5_000
REFRESH_AT = 0.8  # of a quote's life
SIDES = {common_pb2.BUY: Side.BUY, common_pb2.SELL: Side.SELL}
Later = Callable[[float, Callable[[], None]], None]
Say = Callable[[lp_pb2.FromDealer], None]


@dataclass(slots=True)
class Job:
    """A request this dealer knows."""

    request: lp_pb2.QuoteRequest
    said: list[lp_pb2.FromDealer] = field(default_factory=list)
    mids: dict[str, Decimal] = field(default_factory=dict)  # by the quote's reference
    is_over: bool = False


class Bot:
    """`say` sends, `later` calls back after so many seconds, `now` tells microseconds."""

    def __init__(
        self, profile: Profile, *, seed: int, config: Config, instruments: Mapping[str, Tradable],
        mids: Mapping[str, Decimal], say: Say, later: Later, now: Callable[[], int],
    ):  # fmt: skip
        self.profile, self._config = profile, config
        self._dice = Dice(seed, profile.lp_id)
        self._instruments, self._mids = instruments, mids
        self._say, self._later, self._now = say, later, now
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._recent: deque[int] = deque()
        self.positions: dict[str, Decimal] = {}

    # -- what the gateway says

    def hear(self, message: lp_pb2.ToDealer) -> None:
        """Takes one message of the gateway."""
        match message.WhichOneof("message"):
            case "request":
                self._asked(message.request)
            case "last_look":
                self._look_again(message.last_look)
            case "ended":
                self._over(message.ended)

    def _asked(self, request: lp_pb2.QuoteRequest) -> None:
        known = self._jobs.get(request.rfq_id)
        if known is not None:  # asked again after the line was down: the same answers
            for answer in known.said:
                self._say(answer)
            return
        job = Job(request)
        self._jobs[request.rfq_id] = job
        while len(self._jobs) > MAX_REMEMBERED:
            self._jobs.popitem(last=False)
        delay = self.profile.delay
        wait_ms = self._dice.log_normal(delay.median, delay.sigma, request.rfq_id, "delay")
        self._after(wait_ms, lambda: self._answer(job, 1))

    def _over(self, ended: lp_pb2.RequestEnded) -> None:
        job = self._jobs.pop(ended.rfq_id, None)
        if job is None:
            return
        job.is_over = True
        if ended.how == "TRADED_WITH_YOU":
            size = _quoted_size(job)
            sold = SIDES[job.request.side] is Side.BUY
            held = self.positions.get(job.request.instrument_id, Decimal(0))
            self.positions[job.request.instrument_id] = held - size if sold else held + size

    # -- quoting

    def _answer(self, job: Job, number: int) -> None:
        if job.is_over or self._now() >= job.request.expires_at_us:
            return
        why_not = self._why_not(job.request, number)
        if why_not is not None:
            if number == 1:
                declined = lp_pb2.PassAnswer(rfq_id=job.request.rfq_id, reason=why_not)
                self._tell(job, lp_pb2.FromDealer(declined=declined))
            return
        quote = self._quote(job, number)
        self._tell(job, lp_pb2.FromDealer(quote=quote))
        if number <= self.profile.refreshes:
            wait_ms = self.profile.life_ms * REFRESH_AT
            self._later(wait_ms / 1000, lambda: self._answer(job, number + 1))

    def _why_not(self, request: lp_pb2.QuoteRequest, number: int) -> str | None:
        instrument = self._instruments.get(request.instrument_id)
        if instrument is None or request.instrument_id not in self._mids:
            return "NO_PRICE"
        if instrument.asset_class not in self.profile.half_spread:
            return "NO_INTEREST"
        if self._size(request, instrument) is None:
            return "SIZE"
        interest = self.profile.no_interest * self._config.no_interest_scale
        if number == 1 and self._dice.uniform(request.rfq_id, "interest") < interest:
            return "NO_INTEREST"
        return None if number > 1 or self._has_breath() else "THROTTLED"

    def _has_breath(self) -> bool:
        now = self._now()
        while self._recent and self._recent[0] <= now - SECOND:
            self._recent.popleft()
        if len(self._recent) >= self.profile.per_second * self._config.throttle_scale:
            return False
        self._recent.append(now)
        return True

    def _size(self, request: lp_pb2.QuoteRequest, instrument: Tradable) -> Decimal | None:
        """The size this dealer quotes: all of it, or what it can where that is allowed; None: too
        large for it."""
        wanted, most = Decimal(request.size), self.profile.max_size * instrument.max_size
        if wanted <= most:
            return wanted
        if not request.partial_allowed:
            return None
        part = floor_to(most, instrument.lot_size)
        smallest = Decimal(request.min_size) if request.HasField("min_size") else wanted
        return part if part >= smallest else None

    def _quote(self, job: Job, number: int) -> lp_pb2.QuoteAnswer:
        request, reference = job.request, f"q{number}"
        instrument, mid = (
            self._instruments[request.instrument_id],
            self._mids[request.instrument_id],
        )
        size = self._size(request, instrument)
        assert size is not None
        price = self._price(request.rfq_id, instrument, SIDES[request.side], size)
        job.mids[reference] = mid
        return lp_pb2.QuoteAnswer(
            rfq_id=request.rfq_id, dealer_quote_ref=reference, price=plain(price),
            size=plain(size), life_ms=self.profile.life_ms,
        )  # fmt: skip

    def _price(self, rfq_id: str, instrument: Tradable, side: Side, size: Decimal) -> Decimal:
        profile = self.profile
        model = PricingModel(
            half_spread_pips=profile.half_spread[instrument.asset_class],
            size_pips=profile.impact,
            size_unit=instrument.max_size,
            inventory_pips=profile.inventory_bias,
            inventory_limit=profile.full_book * instrument.max_size,
        )
        # Thousandths are enough for a view of one's own, and keep binary fractions out of prices.
        view = Decimal(round(self._dice.uniform(rfq_id, "view") * 2000) - 1000) / 1000
        mid = self._mids[instrument.instrument_id] + view * profile.noise * instrument.pip
        held = self.positions.get(instrument.instrument_id, Decimal(0))
        now = Circumstances(mid, instrument.pip, instrument.tick_size, inventory=held)
        return quote_price(model, now, side, size)

    # -- last look

    def _look_again(self, asked: lp_pb2.LastLookRequest) -> None:
        look, rfq_id = self.profile.last_look, asked.rfq_id
        wait_ms = self._dice.log_normal(look.median, look.sigma, rfq_id, asked.quote_id, "look")
        self._after(wait_ms, lambda: self._stand_by(asked))

    def _stand_by(self, asked: lp_pb2.LastLookRequest) -> None:
        job = self._jobs.get(asked.rfq_id)
        reply = lp_pb2.LastLookReply(rfq_id=asked.rfq_id, quote_id=asked.quote_id)
        quoted_mid = job.mids.get(asked.dealer_quote_ref) if job else None
        if job is None or quoted_mid is None:
            # Started anew since it quoted: it cannot tell how far the price has moved, so it does
            # not stand by it.
            reply.reason = "the quote is not known here any more"
            self._say(lp_pb2.FromDealer(last_look=reply))
            return
        instrument = self._instruments[job.request.instrument_id]
        mid = self._mids[job.request.instrument_id]
        drift = drift_pips(SIDES[job.request.side], quoted_mid, mid, instrument.pip)
        reply.passed = drift <= self.profile.last_look_max_drift
        reply.drift = plain(drift.quantize(Decimal("0.01")))
        if not reply.passed:
            most = plain(self.profile.last_look_max_drift)
            reply.reason = f"the price moved {reply.drift} pips against us; {most} is our limit"
        self._say(lp_pb2.FromDealer(last_look=reply))

    def _tell(self, job: Job, answer: lp_pb2.FromDealer) -> None:
        job.said.append(answer)
        self._say(answer)

    def _after(self, wait_ms: float, what: Callable[[], None]) -> None:
        scaled = wait_ms * self._config.delay_scale / 1000
        if scaled < 0.001:
            what()
        else:
            self._later(scaled, what)


def _quoted_size(job: Job) -> Decimal:
    quotes = [m.quote for m in job.said if m.WhichOneof("message") == "quote"]
    return Decimal(quotes[-1].size) if quotes else Decimal(0)
