import {
  type ButtonHTMLAttributes,
  type InputHTMLAttributes,
  type ReactNode,
  useEffect,
  useState,
} from 'react';
import { Icon, type IconName } from './icons';

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  kind?: 'plain' | 'bare' | 'primary';
  small?: boolean;
  icon?: IconName;
  testId?: string;
}

export function Button({
  kind = 'plain',
  small,
  icon,
  testId,
  children,
  className,
  ...rest
}: ButtonProps) {
  const classes = `btn ${kind === 'plain' ? '' : `btn-${kind}`} ${small ? 'btn-small' : ''} ${className ?? ''}`;
  return (
    <button type="button" className={classes} data-testid={testId} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  icon: IconName;
  label: string;
  size?: number;
  testId?: string;
}

/** A 22 px square with an icon; its name is for screen readers and the tool tip. */
export function IconButton({
  icon,
  label,
  size = 12,
  testId,
  className,
  ...rest
}: IconButtonProps) {
  return (
    <button
      type="button"
      className={`icon-btn ${className ?? ''}`}
      aria-label={label}
      title={label}
      data-testid={testId}
      {...rest}
    >
      <Icon name={icon} size={size} />
    </button>
  );
}

interface FieldProps extends Omit<InputHTMLAttributes<HTMLInputElement>, 'size'> {
  icon?: IconName;
  unit?: ReactNode;
  bad?: boolean;
  testId?: string;
  width?: number | string;
}

/** A text field. Enter never submits: there are no forms, and nothing is sent from a field. */
export function Field({ icon, unit, bad, testId, width, className, ...rest }: FieldProps) {
  return (
    <span className={`field ${bad ? 'field-bad' : ''} ${className ?? ''}`} style={{ width }}>
      {icon && <Icon name={icon} />}
      <input
        data-testid={testId}
        autoComplete="off"
        spellCheck={false}
        aria-invalid={bad}
        {...rest}
      />
      {unit !== undefined && <span className="field-unit">{unit}</span>}
    </span>
  );
}

export type Tone = 'live' | 'ok' | 'warn' | 'bad' | 'idle' | 'plain';

/** Shape and word first, colour third. */
export function Pill({
  icon,
  tone = 'plain',
  boxed,
  children,
}: {
  icon: IconName;
  tone?: Tone;
  boxed?: boolean;
  children: ReactNode;
}) {
  return (
    <span className={`pill pill-${tone} ${boxed ? 'pill-boxed' : ''}`}>
      <Icon name={icon} size={10} />
      {children}
    </span>
  );
}

export const Tag = ({ children, title }: { children: ReactNode; title?: string }) => (
  <span className="tag" title={title}>
    {children}
  </span>
);

/** Puts a text on the clipboard and says so for a moment. */
export function CopyButton({
  text,
  label,
  testId,
}: {
  text: string;
  label: string;
  testId?: string;
}) {
  const [copied, setCopied] = useState<boolean | null>(null);
  useEffect(() => {
    if (copied === null) return;
    const timer = setTimeout(() => setCopied(null), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  const said = copied === null ? label : copied ? 'Copied' : 'The browser did not allow copying';
  return (
    <button
      type="button"
      className="btn btn-bare btn-small copy"
      aria-label={said}
      title={said}
      data-testid={testId}
      onClick={copy}
    >
      <Icon name={copied === null ? 'copy' : copied ? 'check' : 'cross'} />
    </button>
  );
}

export function Check({
  checked,
  onChange,
  disabled,
  label,
  children,
  testId,
}: {
  checked: boolean;
  onChange: (checked: boolean) => void;
  disabled?: boolean;
  label?: string;
  children?: ReactNode;
  testId?: string;
}) {
  return (
    <label className={`check ${disabled ? 'check-off' : ''}`}>
      <input
        type="checkbox"
        checked={checked}
        disabled={disabled}
        aria-label={label}
        data-testid={testId}
        onChange={(event) => onChange(event.target.checked)}
      />
      <span className="check-box">{checked && <Icon name="check" size={10} />}</span>
      {children}
    </label>
  );
}
