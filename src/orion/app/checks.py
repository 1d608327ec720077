"""What must hold of RFQs and trades, whatever happened: checks of `orion verify` beside the generic
ones of the platform.

They read the log, so they say what was durable, in the order in which it was decided; the last one
compares the replies that callers got. In one snapshot the platform may be at work.
"""

from __future__ import annotations

from typing import Any

from orion.app.moves import moves_checks
from orion.app.replies import replies_check
from orion.platform.verify import Check

_EVENTS = """
    with said as not materialized (  -- payloads are read where they are asked for
        select tenant, entity, topic, part, offs, type,
               convert_from(body, 'UTF8')::jsonb -> 'payload' as payload
          from bus.log where topic in ('rfq.lifecycle', 'execution.trades')
    ), final as (
        select tenant, payload ->> 'rfqId' as rfq_id, payload ->> 'tradeId' as trade_id,
               payload -> 'quote' as quote, payload -> 'terms' as terms
          from said
         where type = 'LastLookPassed'
            or (type = 'QuoteAccepted' and (payload ->> 'final')::boolean)
    ), trade as (
        select tenant, payload -> 'trade' ->> 'rfqId' as rfq_id,
               payload -> 'trade' ->> 'tradeId' as trade_id, payload -> 'trade' as trade
          from said where type = 'TradeExecuted'
    ), told as (
        select tenant, payload ->> 'rfqId' as rfq_id, payload ->> 'tradeId' as trade_id,
               payload as words
          from said where type = 'RFQTraded'
    )
"""
_OVER = "('RFQTraded', 'RFQExpired', 'RFQCancelled', 'RFQRejected', 'RFQDenied')"


async def trading_checks(sql: Any) -> list[Check]:
    """All of them, over one connection that may read every tenant (orion_owner)."""
    return [
        await _one_trade_per_accept(sql),
        await _trades_are_as_quoted(sql),
        await _two_equal_sides(sql),
        await _every_trade_is_told(sql),
        await _no_accept_too_late(sql),
        await _nothing_after_the_end(sql),
        *await moves_checks(sql),
        await replies_check(sql),
    ]


async def _check(sql: Any, name: str, count: str, wrong: str) -> Check:
    check = Check(name)
    check.counted = await sql.fetchval(_EVENTS + count)
    check.add(await sql.fetch(_EVENTS + wrong), lambda row: " ".join(map(str, row)))
    return check


async def _one_trade_per_accept(sql: Any) -> Check:
    """Each final accept has exactly one trade, and no trade is without one."""
    return await _check(
        sql,
        "one trade per accepted quote",
        "select count(*) from final",
        """
        select coalesce(f.tenant, t.tenant), coalesce(f.rfq_id, t.rfq_id),
               coalesce(f.accepts, 0) || ' final accepts', coalesce(t.trades, 0) || ' trades'
          from (select tenant, rfq_id, count(*) as accepts from final group by 1, 2) f
          full join (select tenant, rfq_id, count(*) as trades from trade group by 1, 2) t
            on f.tenant = t.tenant and f.rfq_id = t.rfq_id
         where coalesce(f.accepts, 0) <> 1 or coalesce(t.trades, 0) <> 1
        """,
    )


async def _trades_are_as_quoted(sql: Any) -> Check:
    """Price, size and quote of a trade are those of the quote that was accepted."""
    return await _check(
        sql,
        "trades are as quoted",
        "select count(*) from trade",
        """
        select t.tenant, t.trade_id, 'differs from its quote'
          from trade t join final f on f.tenant = t.tenant and f.rfq_id = t.rfq_id
         where t.trade_id <> f.trade_id or t.trade ->> 'quoteId' <> f.quote ->> 'quoteId'
            or (t.trade ->> 'price')::numeric <> (f.quote ->> 'price')::numeric
            or (t.trade ->> 'quantity')::numeric <> (f.quote ->> 'size')::numeric
        """,
    )


async def _two_equal_sides(sql: Any) -> Check:
    """A trade's buyer and seller are the requester and the dealer, each on its own side; what the
    requester was told of it is what the dealer gave; the money is quantity by price.
    """
    return await _check(
        sql,
        "a trade has two equal sides",
        "select count(*) from trade",
        """
        select t.tenant, t.trade_id, concat_ws(', ',
               case when t.sides is not true then 'buyer ' || (t.trade ->> 'buyer')
                    || ' and seller ' || (t.trade ->> 'seller')
                    || ' for a ' || (t.trade ->> 'side') end,
               case when t.money is not true then 'notional ' || (t.trade ->> 'notional') end,
               case when t.told is not true then 'the requester was told another deal' end)
          from (select t.*,
                       t.trade ->> 'side' = f.terms ->> 'side'
                   and jsonb_build_array(t.trade ->> 'buyer', t.trade ->> 'seller')
                     = case t.trade ->> 'side'
                       when 'BUY' then jsonb_build_array(t.tenant, f.quote ->> 'lpId')
                       when 'SELL' then jsonb_build_array(f.quote ->> 'lpId', t.tenant) end
                   as sides,
                       -- Rounded to the currency's smallest unit, so at most half of it away.
                       abs((t.trade ->> 'notional')::numeric
                         - (t.trade ->> 'price')::numeric * (t.trade ->> 'quantity')::numeric
                         * (t.trade ->> 'contractSize')::numeric) <= 0.5 as money,
                       r.words is null  -- which another check finds
                    or (r.words ->> 'quoteId' = t.trade ->> 'quoteId'
                   and r.words ->> 'lpId' = t.trade ->> 'lpId'
                   and (r.words ->> 'price')::numeric = (t.trade ->> 'price')::numeric
                   and (r.words ->> 'size')::numeric = (t.trade ->> 'quantity')::numeric) as told
                  from trade t
                  join final f on f.tenant = t.tenant and f.trade_id = t.trade_id
                  left join told r on r.tenant = t.tenant and r.trade_id = t.trade_id) t
         where (t.sides and t.money and t.told) is not true
        """,
    )


async def _every_trade_is_told(sql: Any) -> Check:
    """Each TradeExecuted has one RFQTraded, and the other way round."""
    return await _check(
        sql,
        "every trade is told to its RFQ",
        "select count(*) from told",
        """
        select coalesce(t.tenant, r.tenant), coalesce(t.trade_id, r.trade_id),
               case when t.trade_id is null then 'told without a trade' else 'never told' end
          from trade t full join told r on r.tenant = t.tenant and r.trade_id = t.trade_id
         where t.trade_id is null or r.trade_id is null
        """,
    )


async def _no_accept_too_late(sql: Any) -> Check:
    """No accept stands whose RFQ or quote had no time left."""
    return await _check(
        sql,
        "no accept after its time",
        "select count(*) from said where type = 'QuoteAccepted'",
        """
        select tenant, entity, 'accepted at ' || (payload ->> 'at')
          from said
         where type = 'QuoteAccepted'
           and (payload ->> 'at')::timestamptz >= least(
                (payload -> 'terms' ->> 'expiresAt')::timestamptz,
                (payload -> 'quote' ->> 'expiresAt')::timestamptz)
        """,
    )


async def _nothing_after_the_end(sql: Any) -> Check:
    """By the order of the log nothing happens to an RFQ that has ended, accepts least of all."""
    return await _check(
        sql,
        "nothing after an RFQ's end",
        "select count(distinct (tenant, entity)) from said where topic = 'rfq.lifecycle'",
        f"""
        select later.tenant, later.entity, later.type || ' after ' || over.type
          from said over join said later
            on later.topic = over.topic and later.tenant = over.tenant
           and later.entity = over.entity and later.offs > over.offs
         where over.topic = 'rfq.lifecycle' and over.type in {_OVER}
        """,  # noqa: S608 - constants of this file
    )
