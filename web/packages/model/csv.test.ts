import { describe, expect, it } from 'vitest';
import { csvCell, toCsv } from './csv';

describe('CSV', () => {
  it('quotes what must be quoted and ends each record with CRLF', () => {
    const columns = [
      { header: 'a,b', value: (r: { x: string }) => r.x },
      { header: 'n', value: () => null },
    ];
    expect(toCsv(columns, [{ x: 'say "hi"\nnow' }])).toBe('"a,b",n\r\n"say ""hi""\nnow",\r\n');
  });

  it.each(['=1+1', '+cmd', '-cmd', '@SUM(A1)', '\tx', '\rx'])('disarms %j', (text) => {
    expect(csvCell(text).replace(/^"/, '').startsWith("'")).toBe(true);
  });

  it('leaves numbers and plain text alone', () => {
    expect(csvCell('-1.50')).toBe('-1.50');
    expect(csvCell('+3')).toBe('+3');
    expect(csvCell(-2)).toBe('-2');
    expect(csvCell('R-1048')).toBe('R-1048');
  });
});
