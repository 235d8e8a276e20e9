// Imports point one way: core <- sim; core, wire <- quorum, agent, mirror <- cli; guard imports nothing of ours.
const only = (name, from, ...to) => ({
  name,
  severity: 'error',
  from: { path: `^services/${from}/src` },
  to: { path: '^(services|proto|test)/', pathNot: [`^services/${from}/src`, ...to] },
});
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'core-is-pure',
      severity: 'error',
      comment: 'core decides; it may parse with zod, and nothing else comes in',
      from: { path: '^services/core/src' },
      to: { pathNot: ['^services/core/src', 'node_modules/zod'] },
    },
    {
      name: 'loops-apart',
      severity: 'error',
      comment: 'what both loops need is beside them, and neither knows of the other',
      from: { path: '^services/core/src/(quorum|agent)/' },
      to: { path: '^services/core/src/(quorum|agent)/', pathNot: ['^services/core/src/$1/'] },
    },
    {
      name: 'guard-is-alone',
      severity: 'error',
      comment: 'the guard must work when everything else is broken',
      from: { path: '^services/guard/src' },
      to: { pathNot: ['^services/guard/src'], dependencyTypesNot: ['core'] },
    },
    { name: 'proto-first', severity: 'error', from: { path: '^proto' }, to: { path: '^services' } },
    only('sim-imports-core', 'sim', '^services/core/src'),
    only('wire-imports-proto', 'wire', '^proto/'),
    only('lab-imports-nothing', 'lab'),
    only('quorum-imports', 'quorum', '^services/(core|wire)/src', '^proto/'),
    only('agent-imports', 'agent', '^services/(core|wire)/src', '^proto/'),
    only('mirror-imports', 'mirror', '^services/(core|wire)/src', '^proto/'),
    only('cli-imports', 'cli', '^services/(core|wire|quorum|agent|mirror|guard|lab)/src', '^proto/'),
    {
      name: 'sim-is-not-production',
      severity: 'error',
      from: { path: '^services/(?!sim)', pathNot: '/test/' },
      to: { path: '^services/sim' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)dist/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['source', 'import', 'node', 'default'],
    },
  },
};
