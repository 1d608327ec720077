import { describe, expect, it, vi } from 'vitest';
import { CommandRegister, keyName } from './commands';

const press = (key: string, over = {}) => ({
  key,
  shiftKey: false,
  altKey: false,
  ctrlKey: false,
  metaKey: false,
  ...over,
});

describe('registered commands', () => {
  it('run only when they can, and say why not', () => {
    const register = new CommandRegister();
    const run = vi.fn();
    let can: true | string = 'No open RFQ';
    const forget = register.register({ id: 'x', title: 'X', group: 'g', can: () => can, run });
    expect(register.run('x')).toBe(false);
    expect(register.refusal('x')).toBe('No open RFQ');
    can = true;
    expect(register.run('x')).toBe(true);
    expect(run).toHaveBeenCalledTimes(1);
    forget();
    expect(register.run('x')).toBe(false);
  });

  it('names keys the way the sheet prints them', () => {
    expect(keyName(press('n'))).toBe('N');
    expect(keyName(press('X', { shiftKey: true }))).toBe('Shift+X');
    expect(keyName(press('?', { shiftKey: true }))).toBe('?');
    expect(keyName(press('1', { altKey: true }))).toBe('Alt+1');
    expect(keyName(press('ArrowDown'))).toBe('ArrowDown');
  });
});
