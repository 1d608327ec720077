// Only for looking at the screen while the platform is not running: speaks the public shapes with
// generated data, serves dist, and is used by no test and no build.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { WebSocketServer } from 'ws';

const port = Number(process.argv[2] ?? 8091);
const dist = new URL('../dist/', import.meta.url).pathname;
const iso = (ms = Date.now()) => new Date(ms).toISOString();
const fx = (id, mid, yen) => ({
  id,
  mid,
  cls: 'FX',
  group:
    (id.startsWith('EUR') && id !== 'EURUSD') || id.startsWith('GBPJ') ? 'FX crosses' : 'FX G10',
  ccy: id.slice(0, 3),
  q: id.slice(3),
  pip: yen ? 0.01 : 0.0001,
  dp: yen ? 3 : 5,
  disp: {
    kind: 'PIPS',
    decimals: yen ? 3 : 5,
    pipFrom: yen ? 0 : 2,
    pipDigits: 2,
    fractionDigits: 1,
  },
  unit: 'pips',
  spread: yen ? 0.008 : 0.00006 + Math.round(Math.random() * 6) / 1e5,
  amber: 5000,
  red: 15000,
});
const ust = (t, mid) => ({
  id: `UST${t}`,
  mid,
  cls: 'RATES',
  group: 'Rates',
  ccy: 'USD',
  q: 'USD',
  tenor: t,
  pip: 0.03125,
  dp: 7,
  tick: 0.0078125,
  disp: { kind: 'THIRTYSECONDS', decimals: 7, pipFrom: 0, pipDigits: 2, fractionDigits: 1 },
  unit: '32nds',
  spread: 0.015625,
  amber: 10000,
  red: 30000,
});
const bond = (id, sym, mid) => ({
  id,
  sym,
  mid,
  cls: 'CREDIT',
  group: 'Credit',
  ccy: 'USD',
  q: 'USD',
  tenor: '3Y',
  pip: 0.01,
  dp: 3,
  disp: { kind: 'DECIMAL', decimals: 3, pipFrom: 0, pipDigits: 2, fractionDigits: 1 },
  unit: 'bps',
  spread: 0.08,
  amber: 30000,
  red: 90000,
});
const eq = (id, mid) => ({
  id,
  mid,
  cls: 'EQUITY',
  group: 'Equities',
  ccy: 'USD',
  q: 'USD',
  pip: 0.01,
  dp: 2,
  disp: { kind: 'DECIMAL', decimals: 2, pipFrom: 0, pipDigits: 2, fractionDigits: 0 },
  unit: 'cents',
  spread: 0.04,
  amber: 10000,
  red: 30000,
});
const seeds = [
  fx('EURUSD', 1.14035),
  fx('GBPUSD', 1.27513),
  fx('AUDUSD', 0.70466),
  fx('NZDUSD', 0.67163),
  fx('USDJPY', 109.022, 1),
  fx('USDCHF', 0.98203),
  fx('USDCAD', 1.36343),
  fx('USDNOK', 8.7257),
  fx('EURGBP', 0.8943),
  fx('EURJPY', 124.323, 1),
  fx('EURCHF', 1.1202),
  fx('GBPJPY', 139.017, 1),
  ust('2Y', 99.89),
  ust('5Y', 100.29),
  ust('10Y', 99.52),
  ust('30Y', 98.67),
  bond('ALDR425_29', 'ALDR 4.25 29', 101.402),
  bond('HELX510_31', 'HELX 5.10 31', 98.87),
  bond('ORVL580_28', 'ORVL 5.80 28', 104.28),
  eq('VEGA', 182.4),
  eq('LUMA', 61.22),
];
const instruments = seeds.map((s) => ({
  instrumentId: s.id,
  symbol: s.sym ?? s.id,
  displayName: s.sym ?? s.id,
  assetClass: s.cls,
  group: s.group,
  currency: s.ccy,
  quoteCurrency: s.q,
  isin: null,
  issuer: null,
  coupon: null,
  maturity: null,
  curve: null,
  tenor: s.tenor ?? 'SPOT',
  settlementCycle: 'T+2',
  settlementDate: iso(Date.now() + 2 * 864e5).slice(0, 10),
  calendar: 'USD',
  tradingHours: '24x7',
  tickSize: String(s.tick ?? 10 ** -s.dp),
  lotSize: s.cls === 'EQUITY' ? '1' : '1000',
  minSize: s.cls === 'EQUITY' ? '100' : '100000',
  maxSize: s.cls === 'CREDIT' ? '25000000' : '100000000',
  pip: String(s.pip),
  display: s.disp,
  spreadUnit: s.unit,
  sizeUnit: s.cls === 'EQUITY' ? 'shares' : s.ccy,
  venueIds: ['XORN'],
  staleAmberMs: s.amber,
  staleRedMs: s.red,
  dealable: true,
  source: 'SIM',
  version: 1,
}));
const snap = (s, v) => (s.tick ? (Math.round(v / s.tick) * s.tick).toFixed(7) : v.toFixed(s.dp));
const tickOf = (s) => ({
  instrumentId: s.id,
  bid: snap(s, s.mid - s.spread / 2),
  ask: snap(s, s.mid + s.spread / 2),
  mid: s.mid.toFixed(s.dp + 1),
  timestamp: iso(s.at),
  receivedAt: iso(s.at),
  source: 'SIM',
  flags: [],
});
for (const s of seeds) {
  s.at = Date.now();
  s.vol = s.pip * 0.25;
  s.hist = [];
  let m = s.mid;
  for (let i = 1440; i >= 0; i--) {
    m += (Math.random() - 0.5) * s.vol * 2;
    s.hist.push({
      at: iso(Date.now() - i * 5000),
      mid: m.toFixed(s.dp),
      low: m.toFixed(s.dp),
      high: m.toFixed(s.dp),
      spread: (s.spread * (0.8 + Math.round(Math.random() * 4) / 8)).toFixed(8),
      spreadMax: s.spread.toFixed(8),
      ticks: 9,
    });
  }
  s.mid = m;
}
const dealers = [
  ['NORTHGATE', 'Northgate', 0.31, 88, null],
  ['HALDEN', 'Halden', 0.27, 109, 0.009],
  ['MERIDIANX', 'Meridian Cross', 0.18, 146, null],
  ['TARNWICK', 'Tarnwick', 0.12, 310, 0],
  ['BRACKWATER', 'Brackwater', 0.08, 198, null],
  ['CORVID', 'Corvid', null, null, null],
].map(([lpId, name, hit, p50, ll], i) => ({
  lpId,
  name,
  enabled: i < 5,
  reason: i < 5 ? null : 'Credit line suspended until the annual review is signed',
  instrumentIds: seeds.map((s) => s.id),
  lastLook: ll !== null,
  scorecard: {
    requests: 120,
    quoted: 110,
    won: 20,
    hitRatio: hit,
    responseP50Ms: p50,
    responseP95Ms: p50 && p50 * 2,
    lastLookRejectRatio: ll,
  },
}));
let prefs = { version: 0 };
const lists = [
  {
    watchlistId: 'w1',
    name: 'Desk core',
    instrumentIds: seeds.map((s) => s.id).filter((id) => id !== 'LUMA'),
    pinned: ['EURUSD', 'USDJPY', 'UST10Y', 'USDCHF'],
    position: 0,
    version: 1,
  },
];
const rfqs = new Map();
const trades = [];
const audit = new Map();
const keys = new Map();
let n = 1040;
const log = (r, service, eventType, summary) => {
  const items = audit.get(r.correlationId) ?? [];
  audit.set(r.correlationId, items);
  const t0 = items[0] ? Date.parse(items[0].occurredAt) : Date.now();
  items.push({
    occurredAt: iso(),
    offsetMs: Date.now() - t0 + Math.random(),
    service,
    eventType,
    eventId: randomUUID(),
    entity: { entityType: 'RFQ', entityId: r.rfqId, sequence: items.length + 1 },
    topic:
      service === 'execution'
        ? 'dev.execution.trades.v1'
        : eventType.startsWith('Quote') && !eventType.includes('Acc')
          ? 'dev.rfq.quotes.v1'
          : 'dev.rfq.lifecycle.v1',
    partition: 3,
    offset: 88400 + items.length,
    payload: { rfqId: r.rfqId, status: r.status },
    summary,
  });
};
const socks = new Set();
const push = (channel, item) => {
  for (const s of socks)
    if (s.chan[channel] !== undefined)
      s.send(JSON.stringify({ type: 'update', channel, seq: ++s.chan[channel], items: [item] }));
};
const touch = (r) => {
  r.serverTime = iso();
  r.revision = (r.revision ?? 0) + 1;
  r.quotes
    .filter((q) => q.status === 'QUOTED')
    .sort((a, b) => (r.side === 'BUY' ? a.price - b.price : b.price - a.price))
    .forEach((q, i) => {
      q.rank = i + 1;
      if (i === 0) r.bestQuoteId = q.quoteId;
    });
  push('rfqs', r);
};
const end = (r, status, more = {}) => {
  Object.assign(r, { status, endedAt: iso(), version: r.version + 1, ...more });
  touch(r);
};
const open = (r) => ['SENT', 'QUOTING'].includes(r.status);
function create(b) {
  n += 1;
  const s = seeds.find((x) => x.id === b.instrumentId);
  const r = {
    rfqId: randomUUID(),
    displayId: `R-${n}`,
    status: 'SENT',
    version: 2,
    correlationId: `corr-${randomUUID().slice(0, 13)}`,
    tenantId: 'alpha',
    requester: 'trader@alpha',
    desk: 'FX',
    instrumentId: b.instrumentId,
    side: b.side,
    size: b.size,
    currency: s.ccy,
    minSize: b.minSize ?? null,
    partialAllowed: b.partialAllowed ?? false,
    venueId: 'XORN',
    settlementDate: instruments.find((i) => i.instrumentId === b.instrumentId).settlementDate,
    expirySeconds: b.expirySeconds,
    createdAt: iso(),
    expiresAt: iso(Date.now() + b.expirySeconds * 1000),
    endedAt: null,
    serverTime: iso(),
    midAtRequest: s.mid.toFixed(s.dp + 1),
    dealers: dealers.map((d) => ({
      lpId: d.lpId,
      name: d.name,
      status: d.enabled && (!b.lpIds || b.lpIds.includes(d.lpId)) ? 'PENDING' : 'EXCLUDED',
      reason: d.reason,
      responseMs: null,
    })),
    quotes: [],
    bestQuoteId: null,
    reasonCode: null,
    reason: null,
    checks: [],
    lastLook: null,
  };
  rfqs.set(r.rfqId, r);
  log(r, 'rfq', 'RFQCreated', `${r.requester}, ${r.expirySeconds} s`);
  log(r, 'rfq', 'RFQSent', `${r.dealers.length - 1} dealers`);
  touch(r);
  r.dealers
    .filter((d) => d.status === 'PENDING')
    .forEach((d, i) =>
      setTimeout(
        () => {
          if (!open(r)) return;
          const ms = 60 + i * 70;
          if (d.lpId === 'BRACKWATER') {
            Object.assign(d, { status: 'PASSED', reason: 'size', responseMs: ms });
            log(r, 'rfq', 'QuoteDeclined', `${d.name}: size`);
            return touch(r);
          }
          const sign = r.side === 'BUY' ? 1 : -1;
          const off = s.spread / 2 + s.pip * 0.1 * i;
          const q = {
            quoteId: randomUUID(),
            lpId: d.lpId,
            lpName: d.name,
            price: snap(s, s.mid + sign * off),
            size: r.size,
            status: 'QUOTED',
            rank: null,
            receivedAt: iso(),
            responseMs: ms,
            expiresAt: iso(Date.now() + 5000 + i * 4000),
            spreadToMid: off.toFixed(8),
            reason: null,
          };
          r.quotes.push(q);
          Object.assign(d, { status: 'QUOTED', responseMs: ms });
          if (r.status === 'SENT') {
            r.status = 'QUOTING';
            r.version += 1;
          }
          log(r, 'rfq', 'QuoteReceived', `${d.name} ${q.price}`);
          touch(r);
        },
        80 + i * 120,
      ),
    );
  setTimeout(() => {
    if (open(r)) {
      end(r, 'EXPIRED');
      log(r, 'rfq', 'RFQExpired', 'no trade');
    }
  }, b.expirySeconds * 1000);
  return r;
}
function accept(r, b) {
  const q = r.quotes.find((x) => x.quoteId === b.quoteId);
  if (!open(r) || !q || Date.parse(q.expiresAt) < Date.now()) return null;
  Object.assign(r, {
    status: 'ACCEPTED',
    acceptedQuoteId: q.quoteId,
    version: r.version + 1,
    lastLook: { quoteId: q.quoteId, lpId: q.lpId, deadline: iso(Date.now() + 900) },
  });
  log(r, 'rfq', 'QuoteAccepted', `${q.lpName}, best`);
  touch(r);
  setTimeout(() => {
    if (q.lpId === 'TARNWICK') {
      q.status = 'LAST_LOOK_REJECTED';
      q.rank = null;
      Object.assign(r, {
        status: 'QUOTING',
        lastLook: null,
        acceptedQuoteId: undefined,
        version: r.version + 1,
        reasonCode: 'RFQ-207',
        reason: 'Tarnwick rejected: moved 0.3 pip',
      });
      log(r, 'rfq', 'QuoteAcceptanceRejected', 'moved 0.3 pip');
      return touch(r);
    }
    for (const x of r.quotes)
      x.status = x === q ? 'WON' : x.status === 'QUOTED' ? 'LOST' : x.status;
    const t = {
      tradeId: randomUUID(),
      displayId: r.displayId.replace('R', 'T'),
      rfqId: r.rfqId,
      quoteId: q.quoteId,
      instrumentId: r.instrumentId,
      side: r.side,
      quantity: q.size,
      price: q.price,
      notional: (q.price * q.size).toFixed(2),
      currency: 'USD',
      buyer: r.side === 'BUY' ? 'Larkmoor Capital' : q.lpName,
      seller: r.side === 'BUY' ? q.lpName : 'Larkmoor Capital',
      lpId: q.lpId,
      venueId: 'XORN',
      tradedAt: iso(),
      settlementDate: r.settlementDate,
      tenantId: 'alpha',
      correlationId: r.correlationId,
      requester: r.requester,
      desk: 'FX',
      status: 'EXECUTED',
    };
    trades.unshift(t);
    log(r, 'execution', 'TradeExecuted', `${t.displayId} at ${t.price}`);
    push('trades', t);
    push('notifications', {
      notificationId: randomUUID(),
      kind: 'TRADE',
      severity: 'INFO',
      title: `${t.displayId} done`,
      text: `${r.side} ${t.quantity} ${t.instrumentId} with ${q.lpName}`,
      at: iso(),
      correlationId: r.correlationId,
      rfqId: r.rfqId,
      read: false,
    });
    end(r, 'TRADED', { tradeId: t.tradeId, tradeDisplayId: t.displayId, lastLook: null });
  }, 900);
  return r;
}
const row = (r) => ({
  ...r,
  quoteCount: r.quotes.length,
  dealerCount: 5,
  bestPrice: null,
  price: r.status === 'TRADED' ? r.quotes.find((q) => q.status === 'WON')?.price : null,
  lpId: null,
});
const me = {
  user: 'trader@alpha',
  subject: 's',
  displayName: 'M. Okafor',
  tenantId: 'alpha',
  tenantName: 'Larkmoor Capital',
  desk: 'FX',
  roles: ['ROLE_TRADER'],
  permissions: [
    'market.read',
    'reference.read',
    'dealers.read',
    'rfq.create',
    'rfq.accept',
    'rfq.cancel',
    'rfq.read.own',
    'rfq.read.desk',
    'trade.read.own',
    'trade.read.desk',
    'audit.read.desk',
    'preferences.write',
    'watchlist.write',
    'notification.read',
  ],
  entitlements: {
    assetClasses: ['FX'],
    instrumentIds: null,
    venueIds: [],
    maxNotional: '1',
    maxNotionalCurrency: 'USD',
    rfqPerMinute: 60,
  },
  session: { expiresAt: null, idleTimeoutSeconds: 1800 },
  environment: 'dev',
  profile: 'embedded',
  build: '0.1.0+dev',
  feed: { mode: 'SIM', scenario: 'calm', seed: 4711, speed: null },
};
const problem = (res, status, code, title, more = {}) => {
  res.writeHead(status, { 'content-type': 'application/problem+json' });
  res.end(
    JSON.stringify({
      type: 'about:blank',
      title,
      status,
      detail: title,
      code,
      correlationId: 'corr-91be07c4',
      requestId: 'req-1',
      ...more,
    }),
  );
};
const server = createServer(async (req, res) => {
  const url = new URL(req.url, 'http://x');
  let text = '';
  for await (const c of req) text += c;
  const body = text ? JSON.parse(text) : null;
  const p = url.pathname.replace('/api/v1', '');
  const ok = (v, s = 200) => {
    res.writeHead(s, { 'content-type': 'application/json' });
    res.end(JSON.stringify(v));
  };
  if (!url.pathname.startsWith('/api/')) {
    try {
      const f = url.pathname === '/' ? 'index.html' : url.pathname.slice(1);
      const types = {
        '.html': 'text/html',
        '.js': 'text/javascript',
        '.css': 'text/css',
        '.svg': 'image/svg+xml',
        '.woff2': 'font/woff2',
      };
      const data = readFileSync(join(dist, f));
      res.writeHead(200, { 'content-type': types[extname(f)] ?? 'text/plain' });
      return res.end(data);
    } catch {
      res.writeHead(404);
      return res.end();
    }
  }
  const page = (items) => ok({ items, nextCursor: null, asOf: iso() });
  if (p === '/me') return ok({ ...me, serverTime: iso() });
  if (p === '/instruments') return page(instruments);
  if (p === '/market/history') {
    const s = seeds.find((x) => x.id === url.searchParams.get('instrumentId'));
    return page(s.hist.slice(-12 * Number(url.searchParams.get('minutes'))));
  }
  if (p === '/dealers') return page(dealers);
  if (p === '/preferences') {
    if (req.method === 'PUT') prefs = { ...body, version: prefs.version + 1 };
    return ok(prefs);
  }
  if (p === '/watchlists' && req.method === 'POST') {
    const w = { ...body, watchlistId: randomUUID(), position: lists.length, version: 1 };
    lists.push(w);
    return ok(w, 201);
  }
  if (p === '/watchlists') return page(lists);
  if (p.startsWith('/watchlists/')) {
    const i = lists.findIndex((l) => l.watchlistId === p.split('/')[2]);
    if (req.method === 'DELETE') {
      lists.splice(i, 1);
      res.writeHead(204);
      return res.end();
    }
    lists[i] = { ...body, watchlistId: lists[i].watchlistId, version: lists[i].version + 1 };
    return ok(lists[i]);
  }
  if (p === '/rfqs' && req.method === 'POST') {
    const k = req.headers['idempotency-key'];
    if (Number(body.size) > 5e7)
      return problem(res, 422, 'RISK-103', 'Over your notional limit', {
        checks: [
          {
            check: 'NOTIONAL',
            outcome: 'FAILED',
            actual: body.size,
            limit: '25000000',
            code: 'RISK-103',
          },
        ],
      });
    const r = keys.get(k) ?? create(body);
    keys.set(k, r);
    return ok(r, 201);
  }
  if (p === '/rfqs') return page([...rfqs.values()].reverse().map(row));
  if (p === '/trades') return page(trades);
  if (p.startsWith('/audit/'))
    return ok({ items: audit.get(decodeURIComponent(p.split('/')[2])) ?? [] });
  const m = /^\/rfqs\/([^/]+)(?:\/(accept|cancel))?$/.exec(p);
  const r = m && rfqs.get(m[1]);
  if (r && m[2] === 'accept') {
    const out = accept(r, body);
    return out
      ? ok(out)
      : problem(res, 409, 'RFQ-204', 'Too late: the quote or the RFQ has expired');
  }
  if (r && m[2] === 'cancel') {
    if (!open(r)) return problem(res, 409, 'RFQ-205', 'The RFQ is no longer open');
    end(r, 'CANCELLED');
    return ok(r);
  }
  if (r) return ok(r);
  return problem(res, 404, 'API-104', 'There is no such thing, or you may not see it');
});
const wss = new WebSocketServer({ server, path: '/api/v1/stream' });
wss.on('connection', (s) => {
  s.chan = {};
  s.ids = new Set();
  socks.add(s);
  s.on('close', () => socks.delete(s));
  s.on('message', (raw) => {
    const m = JSON.parse(raw);
    if (m.op === 'ping')
      return s.send(JSON.stringify({ type: 'pong', id: m.id, serverTime: iso() }));
    if (m.op !== 'subscribe') return;
    if (m.channel === 'ticks') {
      for (const id of m.instrumentIds) s.ids.add(id);
      return s.send(
        JSON.stringify({
          type: 'snapshot',
          channel: 'ticks',
          seq: 1,
          items: seeds.filter((x) => s.ids.has(x.id)).map(tickOf),
        }),
      );
    }
    s.chan[m.channel] = 1;
    s.send(
      JSON.stringify({
        type: 'snapshot',
        channel: m.channel,
        seq: 1,
        items:
          m.channel === 'rfqs'
            ? [...rfqs.values()].filter(
                (r) => !r.endedAt || Date.now() - Date.parse(r.endedAt) < 6e4,
              )
            : m.channel === 'trades'
              ? trades.slice(0, 100)
              : [],
      }),
    );
  });
});
let seq = 1;
setInterval(() => {
  const moved = seeds.filter((s) => s.id !== 'USDCHF' && Math.random() < 0.05);
  for (const s of moved) {
    s.at = Date.now();
    if (Math.random() < 0.6) s.mid += (Math.random() - 0.5) * s.vol * 2;
  }
  seq++;
  for (const s of socks) {
    const items = moved.filter((x) => s.ids.has(x.id)).map(tickOf);
    if (items.length) s.send(JSON.stringify({ type: 'update', channel: 'ticks', seq, items }));
  }
}, 100);
setInterval(() => {
  for (const s of socks)
    s.send(
      JSON.stringify({
        type: 'heartbeat',
        seq,
        serverTime: iso(),
        items: [{ sessions: socks.size, ticksInPerSecond: 50, flushHz: 10, degraded: false }],
      }),
    );
}, 5000);
for (let i = 0; i < 9; i++) {
  const s = seeds[(i * 5) % seeds.length];
  const r = create({
    instrumentId: s.id,
    side: i % 3 ? 'BUY' : 'SELL',
    size: s.cls === 'EQUITY' ? '5000' : '5000000',
    expirySeconds: i === 4 ? 5 : 60,
  });
  if (i !== 4)
    setTimeout(() => r.quotes[0] && accept(r, { quoteId: r.quotes[0].quoteId }), 1500 + i * 130);
}
server.listen(port, '127.0.0.1', () =>
  console.log(`looking server on ${port}, process ${process.pid}`),
);
