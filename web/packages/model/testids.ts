/**
 * Every data-testid that journeys may rely on. Ids with a colon carry the thing's own id, for
 * example `watch-row:EURUSD` or `quote-card:NORTHGATE`.
 */
export const T = {
  // shell
  topBar: 'top-bar',
  tenant: 'tenant',
  connection: 'connection', // data-state = live | connecting | catching-up | reconnecting | offline | signed-out | replaced
  clock: 'utc-clock',
  bell: 'notifications-button',
  notifications: 'notifications-list',
  degraded: 'status-degraded',
  colourBlind: 'colour-blind',
  highContrast: 'high-contrast',
  watchFlag: 'watch-flag',
  themeToggle: 'theme-toggle',
  shortcutsButton: 'shortcuts-button',
  shortcutsSheet: 'shortcuts-sheet',
  userMenu: 'user-menu',
  signOut: 'sign-out',
  banner: 'connection-banner',
  reconnectNow: 'reconnect-now',
  statusBar: 'status-bar',
  latency: 'status-latency', // data-p50, data-p99
  rates: 'status-rates', // data-received, data-painted
  scenario: 'status-scenario',
  panel: (id: string) => `panel:${id}`, // market-watch, tiles, ticket, timeline, rfq-blotter, trade-blotter, spread
  panelTab: (id: string) => `panel-tab:${id}`,
  panelMenu: (id: string) => `panel-menu:${id}`,
  panelMaximise: (id: string) => `panel-maximise:${id}`,
  // market
  watchlistMenu: 'watchlist-menu',
  watchFilter: 'watch-filter',
  watchAdd: 'watch-add',
  watchRow: (id: string) => `watch-row:${id}`, // data-freshness = fresh | amber | red | none
  watchBid: (id: string) => `watch-bid:${id}`,
  watchAsk: (id: string) => `watch-ask:${id}`,
  watchAge: (id: string) => `watch-age:${id}`,
  tile: (id: string) => `tile:${id}`,
  tileSell: (id: string) => `tile-sell:${id}`,
  tileBuy: (id: string) => `tile-buy:${id}`,
  tileSize: (id: string) => `tile-size:${id}`,
  tileRfq: (id: string) => `tile-rfq:${id}`,
  tileReason: (id: string) => `tile-reason:${id}`,
  // ticket
  ticketNew: 'ticket-new',
  ticketTab: (rfqId: string) => `ticket-tab:${rfqId}`,
  ticketInstrument: 'ticket-instrument',
  ticketSell: 'ticket-sell',
  ticketBuy: 'ticket-buy',
  ticketSize: 'ticket-size',
  ticketEcho: 'ticket-echo',
  ticketExpiry: 'ticket-expiry',
  ticketPartial: 'ticket-partial',
  ticketMinSize: 'ticket-min-size',
  ticketDealer: (lpId: string) => `ticket-dealer:${lpId}`,
  ticketSend: 'ticket-send',
  rfqStatus: 'rfq-status', // data-status = the RFQ's status
  rfqDisplayId: 'rfq-display-id',
  countdown: 'rfq-countdown', // data-left-ms
  quoteList: 'quote-list',
  quoteCard: (lpId: string) => `quote-card:${lpId}`, // data-status, data-rank, data-best, data-price, data-quote-id
  accept: 'accept', // data-quote-id
  cancel: 'cancel-rfq',
  requote: 'requote',
  outcome: 'outcome', // data-outcome = idle | sending | working | unknown | done | rejected | …
  outcomeTimeline: 'outcome-timeline',
  reasonDialog: 'reason-dialog',
  reasonSelect: 'reason-select',
  reasonAccept: 'reason-accept',
  reasonCancel: 'reason-cancel',
  // blotters
  quickFilter: (blotter: string) => `quick-filter:${blotter}`, // rfq-blotter, trade-blotter
  csv: (blotter: string) => `csv:${blotter}`,
  columns: (blotter: string) => `columns:${blotter}`,
  mine: (blotter: string) => `mine:${blotter}`,
  today: (blotter: string) => `today:${blotter}`,
  count: (blotter: string) => `count:${blotter}`,
  newRows: (blotter: string) => `new-rows:${blotter}`,
  grid: (blotter: string) => `grid:${blotter}`, // AG Grid rows carry row-id = rfqId or tradeId
  // audit
  timeline: 'timeline', // data-correlation-id
  timelineEvent: 'timeline-event', // data-event-type, data-service, data-offset
  timelinePayload: 'timeline-payload',
  timelineCopy: 'timeline-copy',
  // chart
  spreadChart: 'spread-chart', // data-points
} as const;
