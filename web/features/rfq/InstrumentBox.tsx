import { useInstrument, useSession } from '@client/session';
import { T } from '@model/testids';
import type { Instrument } from '@model/types';
import { Field } from '@ui/controls';
import { useEffect, useId, useRef, useState } from 'react';

const MOST_SHOWN = 40;

function found(all: readonly Instrument[], text: string): Instrument[] {
  const wanted = text.trim().toLowerCase();
  const hit = (i: Instrument) => `${i.symbol} ${i.instrumentId} ${i.displayName}`.toLowerCase();
  const starts = (i: Instrument) => (i.symbol.toLowerCase().startsWith(wanted) ? 0 : 1);
  return all
    .filter((i) => hit(i).includes(wanted))
    .sort((a, b) => starts(a) - starts(b))
    .slice(0, MOST_SHOWN);
}

/** A field with a list below it: type, arrows, Enter takes the marked one (and sends nothing). */
export function InstrumentBox({
  value,
  onChange,
}: {
  value: string | null;
  onChange: (instrumentId: string) => void;
}) {
  const all = useSession((s) => s.instrumentList);
  const chosen = useInstrument(value);
  const [text, setText] = useState<string | null>(null);
  const [mark, setMark] = useState(0);
  const listId = useId();
  const list = useRef<HTMLDivElement>(null);
  const options = text === null ? [] : found(all, text);
  const marked = Math.min(mark, options.length - 1);
  useEffect(() => {
    list.current?.children[marked]?.scrollIntoView({ block: 'nearest' });
  }, [marked]);
  const take = (of: Instrument | undefined) => {
    if (of) onChange(of.instrumentId);
    setText(null);
  };
  const onKeyDown = (event: React.KeyboardEvent<HTMLInputElement>) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      if (text === null) setText('');
      else
        setMark(
          Math.max(0, Math.min(options.length - 1, marked + (event.key === 'ArrowDown' ? 1 : -1))),
        );
    } else if (event.key === 'Enter' && text !== null) {
      event.preventDefault();
      take(options[marked]);
    } else if (event.key === 'Escape' && text !== null) {
      event.stopPropagation();
      setText(null);
    }
  };
  return (
    <div style={{ position: 'relative' }}>
      <Field
        role="combobox"
        aria-label="Instrument"
        aria-expanded={text !== null}
        aria-controls={listId}
        aria-activedescendant={text !== null && options[marked] ? `${listId}-${marked}` : undefined}
        placeholder="Type a symbol"
        value={text ?? chosen?.symbol ?? ''}
        unit={
          text === null && chosen ? (chosen.tenor === 'SPOT' ? 'Spot' : chosen.tenor) : undefined
        }
        testId={T.ticketInstrument}
        onFocus={(event) => event.target.select()}
        onClick={() => text === null && setText('')}
        onChange={(event) => {
          setText(event.target.value);
          setMark(0);
        }}
        onKeyDown={onKeyDown}
        onBlur={() => setText(null)}
      />
      {text !== null && (
        <div
          className="combo-list layer"
          id={listId}
          role="listbox"
          aria-label="Instruments"
          ref={list}
        >
          {options.map((of, i) => (
            // biome-ignore lint/a11y/useFocusableInteractive: the field keeps the focus
            // biome-ignore lint/a11y/useKeyWithClickEvents: keys are handled by the field
            <div
              key={of.instrumentId}
              id={`${listId}-${i}`}
              role="option"
              aria-selected={i === marked}
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => take(of)}
            >
              <span className="strong">{of.symbol}</span>
              <span className="faint small clip">{of.displayName}</span>
            </div>
          ))}
          {options.length === 0 && <div className="faint">{`Nothing matches “${text}”`}</div>}
        </div>
      )}
    </div>
  );
}
