import { dismiss, useToasts } from '@client/toasts';
import { CopyButton, IconButton } from '@ui/controls';
import { Icon } from '@ui/icons';

/** Failures of things in the background. They stay until they are read. */
export function Toasts() {
  const items = useToasts();
  return (
    <div className="toasts" role="log" aria-live="polite" aria-label="Failures">
      {items.map((toast) => (
        <div className="layer toast" key={toast.id}>
          <span className="tone-bad">
            <Icon name="alert" />
          </span>
          <div>
            <p className="strong">{toast.title}</p>
            <p className="dim">{toast.text}</p>
            {toast.traceId && (
              <p className="mono faint">
                {toast.traceId} <CopyButton text={toast.traceId} label="Copy the id" />
              </p>
            )}
          </div>
          <IconButton icon="cross" label="Dismiss" onClick={() => dismiss(toast.id)} />
        </div>
      ))}
    </div>
  );
}
