import * as RadixDialog from '@radix-ui/react-dialog';
import * as RadixMenu from '@radix-ui/react-dropdown-menu';
import * as RadixPopover from '@radix-ui/react-popover';
import type { ReactNode } from 'react';
import { IconButton } from './controls';
import { Icon, type IconName } from './icons';

export function Dialog({
  open,
  onClose,
  title,
  children,
  wide,
  testId,
}: {
  open: boolean;
  onClose: () => void;
  title: string;
  children: ReactNode;
  wide?: boolean;
  testId?: string;
}) {
  return (
    <RadixDialog.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <RadixDialog.Portal>
        <RadixDialog.Overlay className="scrim" />
        <RadixDialog.Content
          className={`layer dialog ${wide ? 'dialog-wide' : ''}`}
          aria-describedby={undefined}
          data-testid={testId}
        >
          <header className="dialog-head">
            <RadixDialog.Title>{title}</RadixDialog.Title>
            <RadixDialog.Close asChild>
              <IconButton icon="cross" label="Close" />
            </RadixDialog.Close>
          </header>
          {children}
        </RadixDialog.Content>
      </RadixDialog.Portal>
    </RadixDialog.Root>
  );
}

/** A menu below its button. */
export function Menu({
  trigger,
  children,
  align = 'end',
  label,
}: {
  trigger: ReactNode;
  children: ReactNode;
  align?: 'start' | 'end';
  label: string;
}) {
  return (
    <RadixMenu.Root modal={false}>
      <RadixMenu.Trigger asChild>{trigger}</RadixMenu.Trigger>
      <RadixMenu.Portal>
        <RadixMenu.Content className="layer menu" align={align} sideOffset={2} aria-label={label}>
          {children}
        </RadixMenu.Content>
      </RadixMenu.Portal>
    </RadixMenu.Root>
  );
}

export function MenuItem({
  icon,
  children,
  hint,
  onSelect,
  refusal,
  checked,
  testId,
}: {
  icon?: IconName;
  children: ReactNode;
  hint?: string | undefined;
  onSelect: () => void;
  /** Why it cannot be chosen now; shown instead of the hint. */
  refusal?: string | null;
  checked?: boolean;
  testId?: string;
}) {
  const shown = checked === undefined ? icon : checked ? 'check' : undefined;
  return (
    <RadixMenu.Item
      className="menu-item"
      disabled={Boolean(refusal)}
      onSelect={onSelect}
      data-testid={testId}
      title={refusal ?? undefined}
    >
      <span className="menu-icon">{shown && <Icon name={shown} />}</span>
      <span className="menu-text">{children}</span>
      {refusal ? (
        <span className="menu-why">{refusal}</span>
      ) : (
        hint && <kbd className="kbd">{hint}</kbd>
      )}
    </RadixMenu.Item>
  );
}

export const MenuLine = () => <RadixMenu.Separator className="menu-line" />;
export const MenuTitle = ({ children }: { children: ReactNode }) => (
  <RadixMenu.Label className="menu-title">{children}</RadixMenu.Label>
);

export function Popover({
  trigger,
  children,
  open,
  onOpenChange,
  label,
  align = 'end',
}: {
  trigger: ReactNode;
  children: ReactNode;
  open?: boolean;
  onOpenChange?: (open: boolean) => void;
  label: string;
  align?: 'start' | 'end';
}) {
  const control = {
    ...(open === undefined ? {} : { open }),
    ...(onOpenChange === undefined ? {} : { onOpenChange }),
  };
  return (
    <RadixPopover.Root {...control}>
      <RadixPopover.Trigger asChild>{trigger}</RadixPopover.Trigger>
      <RadixPopover.Portal>
        <RadixPopover.Content
          className="layer popover"
          align={align}
          sideOffset={4}
          collisionPadding={8}
          aria-label={label}
        >
          {children}
        </RadixPopover.Content>
      </RadixPopover.Portal>
    </RadixPopover.Root>
  );
}
