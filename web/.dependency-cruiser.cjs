// packages → features → apps: a room may import only rooms to its left. Inside the packages:
// model knows nothing, client and ui know model, grid knows ui and model.
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'packages-stay-below',
      severity: 'error',
      from: { path: '^packages/' },
      to: { path: '^(features|apps)/' },
    },
    {
      name: 'features-stay-below-apps',
      severity: 'error',
      from: { path: '^features/' },
      to: { path: '^apps/' },
    },
    {
      name: 'features-do-not-know-each-other',
      severity: 'error',
      from: { path: '^features/([^/]+)/' },
      to: { path: '^features/([^/]+)/', pathNot: '^features/$1/' },
    },
    {
      name: 'model-is-pure',
      severity: 'error',
      from: { path: '^packages/model/', pathNot: '\\.test\\.' },
      to: { pathNot: '^(packages/model/|node_modules/decimal\\.js)' },
    },
    {
      name: 'client-knows-model',
      severity: 'error',
      from: { path: '^packages/client/' },
      to: { path: '^packages/(ui|grid)/' },
    },
    {
      name: 'ui-knows-model',
      severity: 'error',
      from: { path: '^packages/ui/' },
      to: { path: '^packages/(client|grid)/' },
    },
    {
      name: 'only-grid-knows-the-grid-library',
      severity: 'error',
      from: { pathNot: '^packages/grid/' },
      to: { path: '^node_modules/ag-grid' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
  },
};
