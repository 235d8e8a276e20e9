/**
 * A member that answers while the command's cache is made (caches.js): what is compiled only when an answer comes is half of what
 * a command runs. It says a little of everything, so that what reads and shows it runs. Bundled, from the sources of both ends.
 */
import { admin } from '@holdfast/proto';
import { openMemberDirectory } from '@holdfast/wire/directory';
import { adminService, listenRpc } from '@holdfast/wire/rpc';

const path = { address: '127.0.0.1', state: 'up', rttMs: 0.2, says: '' };
const server = {
  state: 'up',
  role: 'server',
  lastHeardMs: 100,
  timeToFailMs: 4900,
  outageMs: 5000,
  everHeard: true,
};
const target = { state: 'replicating', consistent: true, totalBytes: 10, doneBytes: 10 };
const group = {
  ...{
    owner: 'a',
    epoch: 1n,
    phase: 'active',
    reason: 'a is the preferred server',
    sinceMs: 1,
    servers: ['a', 'b'],
  },
  identity: { mode: 'add', addresses: ['10.0.0.1/24'], hostname: 'web' },
  resources: { web: { state: 'running', says: '' } },
  objectives: { takeoverMs: 1900 },
  mirrors: { data: { kind: 'files', source: 'a', targets: { b: target } } },
};
const voter = { healthy: true, voter: true };
const status = {
  ...{ cluster: 'holdfast', timeMs: 1e12 },
  quorum: { healthy: true, leader: 'a', members: { a: voter, b: voter }, spareVotes: 1 },
  servers: { a: { ...server, paths: [path] }, b: { ...server, paths: [path] } },
  groups: { d3: group },
};
const event = {
  id: 'e',
  timeMs: 1e12,
  group: 'd3',
  server: 'a',
  kind: 'failover',
  reason: 'a is down',
  epoch: 1n,
};
const explanation = {
  now: 'a owns it',
  prospects: [{ server: 'a', says: 'b takes over' }],
  rules: 'After 5 s',
};
const plan = { steps: ['stop web on a', 'start web on b'], verdict: 'd3 moves to b' };

const reply = (message, value) => () => Promise.resolve({ kind: 'ok', value: message.fromPartial(value) });

/** Listens with a member's directory. Its port, and what ends it. */
export async function answer(dir) {
  const opened = await openMemberDirectory(dir);
  if (opened.kind === 'error') throw new Error(`${opened.error.file}: ${opened.error.says}`);
  const handlers = {
    status: reply(admin.StatusReply, status),
    explain: reply(admin.ExplainReply, explanation),
    startOperation: reply(admin.StartOperationReply, plan),
    events: async (_request, send) => {
      await send(admin.Event.fromPartial(event));
      return { kind: 'ok', value: null };
    },
  };
  const { credentials } = opened.value;
  const listening = await listenRpc({
    credentials,
    host: '127.0.0.1',
    port: 0,
    services: [adminService(handlers)],
  });
  if (listening.kind === 'error') throw new Error(listening.error.says);
  const { port } = listening.value;
  return { port, end: () => listening.value.close(0) };
}
