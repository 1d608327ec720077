import type { ComponentType } from 'react';

/** Where a panel stands until its user may move it. */
export type Slot = 'left' | 'left-bottom' | 'top' | 'centre' | 'right' | 'band-left' | 'band-right';

/**
 * A panel is one registered object. The shell draws its frame (tabs, menu, maximise) and decides
 * where it stands; everything else is the panel's own.
 */
export interface PanelSpec {
  id: string;
  /** Plain title, for menus and screen readers. */
  title: string;
  slot: Slot;
  order: number;
  /** Whether these permissions see it at all: what one may not know of is not there. */
  may: (permissions: ReadonlySet<string>) => boolean;
  Body: ComponentType;
  /** A livelier title in the tab, such as with a number in it. */
  Title?: ComponentType;
  /** Replaces the panel's single tab by several of its own. */
  Tabs?: ComponentType;
  /** A short note at the right of the header. */
  Note?: ComponentType;
  /** Ids of registered commands shown in the panel's menu. */
  menu?: readonly string[];
}

export class PanelRegister {
  private readonly panels = new Map<string, PanelSpec>();

  register(...specs: PanelSpec[]): void {
    for (const spec of specs) {
      if (this.panels.has(spec.id)) throw new Error(`panel ${spec.id} is registered twice`);
      this.panels.set(spec.id, spec);
    }
  }

  all(): PanelSpec[] {
    return [...this.panels.values()].sort((a, b) => a.order - b.order);
  }
}

export const hasAny = (permissions: ReadonlySet<string>, prefix: string): boolean =>
  [...permissions].some((p) => p === prefix || p.startsWith(`${prefix}.`));
