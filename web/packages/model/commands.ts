/** A thing a user can do, in one list that menus, keys, buttons and the shortcut sheet read. */
export interface Command {
  id: string;
  title: string;
  group: string;
  /** As `KeyboardEvent.key` with optional `Shift+`, `Alt+`, `Ctrl+`; several may do the same. */
  keys?: readonly string[];
  /** Keys that only mean this while the focus is inside the named area (`data-scope`). */
  scope?: string;
  /** True, or the reason why not, in words for the user. */
  can?: () => true | string;
  run: () => void;
}

export class CommandRegister {
  private readonly commands = new Map<string, Command>();
  private readonly listeners = new Set<() => void>();
  private snapshot: readonly Command[] = [];

  /** Adds commands; the returned function takes them out again. */
  register(...commands: Command[]): () => void {
    for (const command of commands) this.commands.set(command.id, command);
    this.changed();
    return () => {
      for (const command of commands) {
        if (this.commands.get(command.id) === command) this.commands.delete(command.id);
      }
      this.changed();
    };
  }

  all = (): readonly Command[] => this.snapshot;

  get(id: string): Command | undefined {
    return this.commands.get(id);
  }

  /** Why the command cannot run now, or null. An unknown command says so. */
  refusal(id: string): string | null {
    const command = this.commands.get(id);
    if (!command) return 'Not available here';
    const can = command.can?.() ?? true;
    return can === true ? null : can;
  }

  run(id: string): boolean {
    if (this.refusal(id) !== null) return false;
    this.commands.get(id)?.run();
    return true;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  private changed(): void {
    this.snapshot = [...this.commands.values()];
    for (const listener of this.listeners) listener();
  }
}

export interface KeyPress {
  key: string;
  shiftKey: boolean;
  altKey: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
}

/** `Shift+X` for a press; Shift is implied by a printed sign such as `?`. */
export function keyName(press: KeyPress): string {
  const letter = /^[a-z]$/i.test(press.key);
  const key = letter ? press.key.toUpperCase() : press.key;
  const shift = press.shiftKey && (letter || press.key.length > 1);
  return [
    press.ctrlKey || press.metaKey ? 'Ctrl' : '',
    press.altKey ? 'Alt' : '',
    shift ? 'Shift' : '',
    key,
  ]
    .filter(Boolean)
    .join('+');
}

export const commands = new CommandRegister();
