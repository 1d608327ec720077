import * as RadixMenu from '@radix-ui/react-dropdown-menu';
import * as RadixPopover from '@radix-ui/react-popover';
import { type ReactNode, useEffect, useRef } from 'react';
import { createPortal } from 'react-dom';
import { IconButton } from './controls';
import { Icon, type IconName } from './icons';

/** The browser's own modal dialog: it keeps the focus inside, and Escape closes it. */
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
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current;
    if (!open || !dialog) return;
    const before = document.activeElement;
    if (!dialog.open) dialog.showModal();
    return () => {
      dialog.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, [open]);
  if (!open) return null;
  return createPortal(
    <dialog
      ref={element}
      className={`layer dialog ${wide ? 'dialog-wide' : ''}`}
      aria-label={title}
      data-testid={testId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <header className="dialog-head">
        <h2>{title}</h2>
        <IconButton icon="cross" label="Close" onClick={onClose} />
      </header>
      {children}
    </dialog>,
    document.body,
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
