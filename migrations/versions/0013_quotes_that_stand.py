"""The blotter counts the quotes that stand, one of each dealer; lines from before are counted anew, from the records that
the read model has taken."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

COUNT = """
update rfq.rm_rfq_blotter b set quote_count = x.n
  from (select l.tenant, convert_from(l.body, 'UTF8')::jsonb -> 'payload' ->> 'rfqId' as rfq_id,
               sum(case {plus} else -1 end) as n
          from bus.log l
          join bus.ckpt k on k.consumer = 'rm_rfq_blotter' and k.topic = l.topic and k.part = l.part and l.offs < k.offs
         where l.topic in ('rfq.quotes', 'rfq.lifecycle') and l.type in ({types})
         group by 1, 2) x
 where b.tenant = x.tenant and b.rfq_id = x.rfq_id
"""
RECEIVED = "when l.type = 'QuoteReceived' then 1"


def upgrade() -> None:
    op.execute(COUNT.format(plus=RECEIVED, types="'QuoteReceived', 'QuoteWithdrawn', 'QuoteAcceptanceRejected'"))


def downgrade() -> None:
    op.execute(COUNT.format(plus=RECEIVED, types="'QuoteReceived'"))
