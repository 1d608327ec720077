import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { type Series, withGaps } from './series';

export interface Mark {
  at: number;
  label: string;
}

const RIGHT = 40;
const BOTTOM = 20;
const two = (n: number) => String(n).padStart(2, '0');
const hhmm = (s: number) => {
  const at = new Date(s * 1000);
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
};

/** A stepped line with the median, the last value on the axis and the user's own RFQs below. */
export class SpreadPlot {
  private readonly plot: uPlot;
  private marks: readonly Mark[] = [];
  private median: number | null = null;
  private readonly colour: (name: string) => string;

  constructor(root: HTMLElement, decimals: number) {
    const style = getComputedStyle(root);
    this.colour = (name) => style.getPropertyValue(name).trim();
    const font = `11px ${style.getPropertyValue('--font-ui')}`;
    const axis = {
      font,
      stroke: () => this.colour('--text-3'),
      ticks: { show: false },
      grid: { show: false },
    };
    this.plot = new uPlot(
      {
        width: Math.max(10, root.clientWidth),
        height: Math.max(10, root.clientHeight),
        legend: { show: false },
        cursor: { show: false },
        padding: [10, 0, 0, 8],
        scales: { x: { time: false }, y: { range: (_, low, high) => range(low, high) } },
        axes: [
          {
            ...axis,
            size: BOTTOM,
            gap: 4,
            space: 56,
            values: (_, values) => values.map(hhmm),
            incrs: [60, 120, 300, 600, 900, 1200, 1800, 3600],
          },
          {
            ...axis,
            side: 1,
            size: RIGHT,
            gap: 6,
            space: 36,
            values: (_, values) => values.map((v) => v.toFixed(decimals)),
            grid: { show: true, stroke: () => this.colour('--chart-grid'), width: 1 },
          },
        ],
        series: [
          {},
          {
            stroke: () => this.colour('--chart-1'),
            width: 1.25,
            points: { show: false },
            ...(uPlot.paths.stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
          },
        ],
        hooks: { draw: [(plot) => this.overlay(plot, decimals)] },
      },
      [[], []],
      root,
    );
  }

  size(width: number, height: number): void {
    if (width > 10 && height > 10) this.plot.setSize({ width, height });
  }

  draw(series: Series, marks: readonly Mark[], median: number | null): void {
    this.marks = marks;
    this.median = median;
    this.plot.setData(withGaps(series));
  }

  destroy(): void {
    this.plot.destroy();
  }

  private overlay(plot: uPlot, decimals: number): void {
    const { ctx, bbox } = plot;
    const scale = devicePixelRatio;
    const spreads = plot.data[1];
    const last = spreads?.at(-1);
    ctx.save();
    ctx.strokeStyle = this.colour('--line-strong');
    ctx.lineWidth = 1;
    line(ctx, bbox.left, bbox.top + bbox.height, bbox.left + bbox.width, bbox.top + bbox.height);
    if (this.median !== null) {
      const y = plot.valToPos(this.median, 'y', true);
      ctx.setLineDash([3 * scale, 4 * scale]);
      ctx.strokeStyle = this.colour('--chart-2');
      line(ctx, bbox.left, y, bbox.left + bbox.width, y);
      ctx.setLineDash([]);
    }
    ctx.font = `${11 * scale}px Inter, sans-serif`;
    ctx.textBaseline = 'middle';
    this.drawMarks(plot, scale);
    if (typeof last === 'number') {
      const y = plot.valToPos(last, 'y', true);
      const width = (RIGHT - 8) * scale;
      ctx.fillStyle = this.colour('--fill-neutral');
      ctx.fillRect(bbox.left + bbox.width + 4 * scale, y - 7 * scale, width, 14 * scale);
      ctx.fillStyle = this.colour('--text-inv');
      ctx.textAlign = 'center';
      ctx.fillText(
        last.toFixed(decimals),
        bbox.left + bbox.width + 4 * scale + width / 2,
        y + scale / 2,
      );
    }
    ctx.restore();
  }

  private drawMarks(plot: uPlot, scale: number): void {
    const { ctx, bbox } = plot;
    ctx.textAlign = 'center';
    let free = Number.NEGATIVE_INFINITY;
    for (const mark of this.marks) {
      const x = plot.valToPos(mark.at, 'x', true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      const bottom = bbox.top + bbox.height;
      ctx.strokeStyle = this.colour('--line-control');
      line(ctx, x, bottom - 8 * scale, x, bottom);
      const half = ctx.measureText(mark.label).width / 2;
      const centre = Math.min(Math.max(x, bbox.left + half), bbox.left + bbox.width - half);
      if (centre - half < free) continue;
      ctx.fillStyle = this.colour('--text-3');
      ctx.fillText(mark.label, centre, bottom - 15 * scale);
      free = centre + half + 6 * scale;
    }
  }
}

function line(ctx: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  ctx.beginPath();
  ctx.moveTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
  ctx.lineTo(Math.round(x2) + 0.5, Math.round(y2) + 0.5);
  ctx.stroke();
}

function range(low: number | null, high: number | null): [number, number] {
  const a = low ?? 0;
  const b = high ?? 1;
  const room = Math.max((b - a) * 0.25, Math.abs(b) * 0.1, 0.05);
  // Below zero only for a crossed market; the room below the line is for the marks.
  return [a < 0 ? a - room : Math.max(0, a - room * 1.6), b + room];
}
