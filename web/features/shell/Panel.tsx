import { useDesk } from '@client/desk';
import { commands } from '@model/commands';
import { T } from '@model/testids';
import { IconButton } from '@ui/controls';
import { Menu, MenuItem, MenuLine } from '@ui/layers';
import type { PanelSpec } from '@ui/panels';
import { Failed } from '@ui/states';
import { Component, type ReactNode, useState } from 'react';
import { toggleMaximised } from './commands';

/** A bug in one panel takes down that panel only, and says so. */
class Fence extends Component<{ title: string; children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <Failed
        what={this.props.title}
        sentence={`This panel stopped: ${error.message}.`}
        traceId={null}
        onRetry={() => this.setState({ error: null })}
      />
    );
  }
}

function PanelMenu({ panel, maximised }: { panel: PanelSpec; maximised: boolean }) {
  return (
    <>
      <Menu
        label={`${panel.title} menu`}
        trigger={
          <IconButton icon="more" label={`${panel.title} menu`} testId={T.panelMenu(panel.id)} />
        }
      >
        <MenuItem
          icon={maximised ? 'restore' : 'maximise'}
          hint="Alt M"
          onSelect={() => toggleMaximised(panel.id)}
        >
          {maximised ? 'Restore' : 'Maximise'}
        </MenuItem>
        {panel.menu && <MenuLine />}
        {panel.menu?.map((id) => {
          const command = commands.get(id);
          if (!command) return null;
          return (
            <MenuItem
              key={id}
              hint={command.keys?.[0]?.replace('+', ' ')}
              refusal={commands.refusal(id)}
              onSelect={() => commands.run(id)}
            >
              {command.title}
            </MenuItem>
          );
        })}
      </Menu>
      <IconButton
        icon={maximised ? 'restore' : 'maximise'}
        label={maximised ? 'Restore' : 'Maximise'}
        testId={T.panelMaximise(panel.id)}
        onClick={() => toggleMaximised(panel.id)}
      />
    </>
  );
}

/** The frame of one place: the tabs of the panels that stand there, and the chosen one's body. */
export function Panel({ panels }: { panels: readonly PanelSpec[] }) {
  const maximised = useDesk((d) => d.maximised);
  const [chosen, setChosen] = useState(panels[0]?.id);
  const panel = panels.find((p) => p.id === chosen) ?? panels[0];
  if (!panel) return null;
  const { Tabs, Note, Body } = panel;
  return (
    <section
      className={`panel panel-${panel.id}`}
      aria-label={panel.title}
      data-panel={panel.id}
      data-testid={T.panel(panel.id)}
    >
      <header className="panel-head">
        <div className="panel-tabs" role="tablist" aria-label={panel.title}>
          {panels.map((one) => {
            if (one.id === panel.id && Tabs) return <Tabs key={one.id} />;
            return (
              <button
                key={one.id}
                type="button"
                role="tab"
                aria-selected={one.id === panel.id}
                className={`tab ${one.id === panel.id ? 'tab-on' : ''}`}
                data-testid={T.panelTab(one.id)}
                onClick={() => setChosen(one.id)}
              >
                {one.Title ? <one.Title /> : one.title}
              </button>
            );
          })}
        </div>
        <div className="panel-acts">
          {Note && (
            <span className="panel-note">
              <Note />
            </span>
          )}
          <PanelMenu panel={panel} maximised={maximised === panel.id} />
        </div>
      </header>
      <div className="panel-body" key={panel.id}>
        <Fence title={panel.title}>
          <Body />
        </Fence>
      </div>
    </section>
  );
}
