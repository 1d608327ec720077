import { showChart, useDesk } from '@client/desk';
import { market } from '@client/market';
import { usePreferences } from '@client/preferences';
import { asApiError } from '@client/problem';
import { rfqs } from '@client/records';
import { api } from '@client/rest';
import { useInstrument, useSession } from '@client/session';
import { csvCell } from '@model/csv';
import { NO_VALUE, unitWord } from '@model/price';
import { T } from '@model/testids';
import { millis } from '@model/time';
import type { Instrument } from '@model/types';
import { useQuery } from '@tanstack/react-query';
import { Button } from '@ui/controls';
import { Empty, Failed, Loading } from '@ui/states';
import { useEffect, useRef, useState } from 'react';
import './analytics.css';
import type { Mark, SpreadPlot } from './plot';
import { extend, fromBars, type Series, type Summary, summary } from './series';

const SPANS = [5, 30, 120] as const;
const REDRAW_MS = 1_000;

function marksOf(instrumentId: string): Mark[] {
  const user = [...rfqs.store.getState().byId.values()];
  return user
    .filter((r) => r.instrumentId === instrumentId)
    .map((r) => ({ at: (millis(r.createdAt) ?? 0) / 1000, label: r.displayId }))
    .sort((a, b) => a.at - b.at);
}

function Legend({
  of,
  facts,
  decimals,
}: {
  of: Instrument;
  facts: Summary | null;
  decimals: number;
}) {
  const text = (value: number | undefined) =>
    value === undefined ? NO_VALUE : value.toFixed(decimals);
  return (
    <div className="spread-legend">
      <span>Spread in {of.spreadUnit === '32nds' ? '32nds' : unitWord(of.spreadUnit)}</span>
      <span>
        now <b>{text(facts?.now)}</b>
      </span>
      <span>
        median <b>{text(facts?.median)}</b>
      </span>
      <span>
        p95 <b>{text(facts?.p95)}</b>
      </span>
      <span>
        max <b>{text(facts?.max)}</b>
      </span>
    </div>
  );
}

function saveCsv(of: Instrument, series: Series): void {
  const rows = series.at.map((at, i) => `${new Date(at * 1000).toISOString()},${series.spread[i]}`);
  const text = [`Time UTC,${csvCell(`Spread ${of.symbol} in ${of.spreadUnit}`)}`, ...rows, ''].join(
    '\r\n',
  );
  const url = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `spread-${of.instrumentId}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function Chart({
  of,
  first,
  minutes,
  onFacts,
}: {
  of: Instrument;
  first: Series;
  minutes: number;
  onFacts: (series: Series) => void;
}) {
  const root = useRef<HTMLDivElement>(null);
  const theme = usePreferences((k) => k.theme);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new theme needs newly read colours
  useEffect(() => {
    const element = root.current;
    if (!element) return;
    let plot: SpreadPlot | null = null;
    let gone = false;
    let lastDraw = 0;
    const decimals = of.spreadUnit === '32nds' ? 2 : 1;
    const draw = () => {
      lastDraw = performance.now();
      plot?.draw(first, marksOf(of.instrumentId), summary(first)?.median ?? null);
      element.dataset.points = String(first.at.length);
      onFacts(first);
    };
    const stop = market.onFlush((ids) => {
      if (!ids.includes(of.instrumentId) || !extend(first, of, minutes * 60)) return;
      if (performance.now() - lastDraw >= REDRAW_MS) draw();
    });
    const watcher = new ResizeObserver(() => plot?.size(element.clientWidth, element.clientHeight));
    const load = async () => {
      // Drawing can wait for the first prices; the library then comes without delaying them.
      await market.firstPrices();
      const module = await import('./plot');
      if (gone) return;
      plot = new module.SpreadPlot(element, decimals);
      watcher.observe(element);
      draw();
    };
    void load();
    return () => {
      gone = true;
      stop();
      watcher.disconnect();
      plot?.destroy();
    };
  }, [of, first, minutes, onFacts, theme]);
  return (
    <div
      className="spread-plot"
      ref={root}
      data-testid={T.spreadChart}
      role="img"
      aria-label={`Spread of ${of.symbol} over ${minutes} minutes`}
    />
  );
}

export function Spread() {
  const all = useSession((s) => s.instrumentList);
  const chosen = useDesk((d) => d.chartInstrument) ?? all[0]?.instrumentId ?? null;
  const of = useInstrument(chosen);
  const [minutes, setMinutes] = useState<number>(30);
  const [series, setSeries] = useState<Series | null>(null);
  const [facts, setFacts] = useState<Summary | null>(null);
  const onFacts = useRef((s: Series) => setFacts(summary(s)));
  const query = useQuery({
    queryKey: ['history', chosen, minutes],
    queryFn: async ({ signal }) => (await api.history(chosen ?? '', minutes, signal)).items,
    enabled: of !== undefined,
    staleTime: 0,
    gcTime: 0,
  });
  useEffect(() => setSeries(of && query.data ? fromBars(query.data, of) : null), [query.data, of]);
  if (!of)
    return all.length === 0 ? (
      <Loading what="instruments" />
    ) : (
      <Empty title="No instrument">Choose one.</Empty>
    );
  const failure = query.error ? asApiError(query.error) : null;
  return (
    <>
      <div className="toolbar">
        <select
          className="select"
          aria-label="Instrument of the chart"
          value={of.instrumentId}
          onChange={(event) => showChart(event.target.value)}
        >
          {all.map((i) => (
            <option key={i.instrumentId} value={i.instrumentId}>
              {i.symbol}
            </option>
          ))}
        </select>
        {/* biome-ignore lint/a11y/useSemanticElements: pressed buttons in one frame */}
        <div className="segment" role="group" aria-label="Span">
          {SPANS.map((span) => (
            <button
              key={span}
              type="button"
              aria-pressed={span === minutes}
              className={span === minutes ? 'on' : ''}
              onClick={() => setMinutes(span)}
            >
              {span < 60 ? `${span} m` : `${span / 60} h`}
            </button>
          ))}
        </div>
        <span className="spring" />
        <Button
          small
          kind="bare"
          icon="download"
          disabled={!series?.at.length}
          onClick={() => series && saveCsv(of, series)}
        >
          CSV
        </Button>
      </div>
      {failure ? (
        <Failed
          what="the history"
          sentence={failure.message}
          traceId={failure.traceId}
          onRetry={() => void query.refetch()}
        />
      ) : (
        <>
          <Legend of={of} facts={facts} decimals={of.spreadUnit === '32nds' ? 2 : 1} />
          {series ? (
            <Chart of={of} first={series} minutes={minutes} onFacts={onFacts.current} />
          ) : (
            <Loading what="history" />
          )}
        </>
      )}
    </>
  );
}
