import { useDealers } from '@client/dealers';
import { asApiError } from '@client/problem';
import { useCan, useSession } from '@client/session';
import { NO_VALUE } from '@model/price';
import { reasonWords } from '@model/quotes';
import { T } from '@model/testids';
import type { Dealer, Rfq, RfqDealer } from '@model/types';
import { Check, Tag } from '@ui/controls';
import { Failed } from '@ui/states';
import type { Choice } from './dealers';

const percent = (ratio: number | null, decimals: number) =>
  ratio === null ? NO_VALUE : (ratio * 100).toFixed(decimals);
const ms = (value: number | null) => (value === null ? NO_VALUE : String(Math.round(value)));

function Score({ dealer }: { dealer: Dealer }) {
  const { scorecard: card, lastLook } = dealer;
  return (
    <>
      <span className="num" title={`${card.won} won of ${card.quoted} quoted`}>
        {percent(card.hitRatio, 0)}
      </span>
      <span
        className="num dim"
        title={`p95 ${ms(card.responseP95Ms)} ms over ${card.requests} requests`}
      >
        {ms(card.responseP50Ms)}
      </span>
      <span
        className="num dim"
        title={lastLook ? 'Share of last looks rejected' : 'Deals without last look'}
      >
        {lastLook ? percent(card.lastLookRejectRatio, 1) : NO_VALUE}
      </span>
    </>
  );
}

export function DealerHead({ text }: { text: string }) {
  const profile = useSession((s) => s.me?.profile);
  return (
    <div className="dealer-head">
      <span>
        {text} {profile === 'embedded' && <Tag title="Dealers are simulated">SIM</Tag>}
      </span>
      <span className="right" title="Quotes won of quotes given">
        Hit %
      </span>
      <span className="right" title="Median time to answer, ms">
        p50
      </span>
      <span className="right" title="Last looks rejected">
        LL %
      </span>
    </div>
  );
}

export function DealerChoices({
  choices,
  onToggle,
}: {
  choices: readonly Choice[];
  onToggle: (lpId: string) => void;
}) {
  const { error, refetch } = useDealers();
  const may = useCan('dealers.read');
  if (!may) return null;
  if (error) {
    const failure = asApiError(error);
    return (
      <Failed
        what="dealers"
        sentence={failure.message}
        traceId={failure.traceId}
        onRetry={() => void refetch()}
      />
    );
  }
  const askable = choices.filter((c) => c.off === null);
  return (
    <>
      <DealerHead text={`Dealers ${choices.filter((c) => c.chosen).length}/${askable.length}`} />
      {choices.map(({ dealer, off, chosen }) => (
        <div key={dealer.lpId} className={`dealer ${off ? 'dealer-off' : ''}`}>
          <Check
            checked={chosen}
            disabled={off !== null}
            testId={T.ticketDealer(dealer.lpId)}
            onChange={() => onToggle(dealer.lpId)}
          >
            <span className="clip">{dealer.name}</span>
          </Check>
          {off ? (
            <span className="dealer-reason clip" title={off}>
              {off}
            </span>
          ) : (
            <Score dealer={dealer} />
          )}
        </div>
      ))}
    </>
  );
}

// The dealer's own words where there are any; the RFQ keeps only a short code.
const why = (asked: RfqDealer, dealer: Dealer | undefined): string =>
  dealer?.reason ?? (asked.reason ? reasonWords(asked.reason) : 'not asked');

/** Who was asked: the same rows, without a choice. */
export function DealersAsked({ rfq }: { rfq: Rfq }) {
  const { data } = useDealers();
  const asked = rfq.dealers.filter((d) => d.status !== 'EXCLUDED');
  return (
    <>
      <DealerHead text={`Asked ${asked.length}/${rfq.dealers.length}`} />
      {rfq.dealers.map((one) => {
        const dealer = data?.find((d) => d.lpId === one.lpId);
        const out = one.status === 'EXCLUDED';
        return (
          <div key={one.lpId} className={`dealer ${out ? 'dealer-off' : ''}`}>
            <span className="clip" title={one.name}>
              {one.name}
            </span>
            {out || !dealer ? (
              <span className="dealer-reason clip" title={why(one, dealer)}>
                {why(one, dealer)}
              </span>
            ) : (
              <Score dealer={dealer} />
            )}
          </div>
        );
      })}
    </>
  );
}
