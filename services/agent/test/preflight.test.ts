/** What a server finds on itself: ports that others have, and a watchdog that would be of no use. */
import { createSocket, type Socket } from 'node:dgram';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig, type AgentState } from '@holdfast/core';
import { createAuthority, createSigningRequest, issueCertificate } from '@holdfast/wire/pki';
import { HeartbeatSockets } from '../src/heartbeat-sockets.ts';
import type { Host } from '../src/host.ts';
import { createWatchdogs } from '../src/platform/linux/watchdogs.ts';
import type { WatchdogState } from '../src/platform/platform.ts';
import { ClockWatch } from '../src/clock-watch.ts';
import { Preflight, type PreflightParts } from '../src/preflight.ts';
import { Space, type Room } from '../src/space.ts';

function otherProcess(address?: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    // One that would share it is as bad: what comes would be sent to one of the two.
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    socket.on('error', reject);
    socket.bind({ port: 0, ...(address === undefined ? {} : { address }) }, () => resolve(socket));
  });
}

describe('heartbeats', () => {
  it.each([['127.0.0.1'], [undefined]])(
    'never share a port that another process has on %s',
    async (address) => {
      const other = await otherProcess(address);
      const { port } = other.address();
      const bound: string[] = [];
      const sockets = new HeartbeatSockets(port, {
        datagram: () => undefined,
        bound: (here) => void bound.push(here),
        trouble: () => undefined,
      });
      try {
        await sockets.use([{ address: '127.0.0.1' } as Parameters<HeartbeatSockets['use']>[0][number]]);
        const says = `heartbeats can't be received on 127.0.0.1 port ${port}/udp: another process has it`;
        expect(sockets.taken[0]).toContain(says);
        expect(sockets.troubles).toEqual(sockets.taken);
        await new Promise<void>((closed) => other.close(closed));
        sockets.look();
        for (let i = 0; bound.length === 0 && i < 500; i += 1)
          await new Promise((next) => setTimeout(next, 10));
        expect([bound, sockets.taken]).toEqual([['127.0.0.1'], []]);
      } finally {
        sockets.close();
      }
    },
  );
});

describe('a watchdog', () => {
  it('is looked at without being opened', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-watchdog-'));
    try {
      await mkdir(join(folder, 'null'));
      await writeFile(join(folder, 'null', 'timeout'), '60\n');
      await writeFile(join(folder, 'file'), '');
      const watchdogs = createWatchdogs(folder);
      expect(watchdogs.look('/dev/null')).toEqual({ kind: 'usable', timeoutMs: 60_000 });
      expect(watchdogs.look('/dev/zero')).toEqual({ kind: 'usable', timeoutMs: null });
      expect(watchdogs.look(join(folder, 'file')).kind).toBe('unusable');
      expect(watchdogs.look('/dev/no-such-watchdog').kind).toBe('unusable');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

let clocks = new ClockWatch();

async function found(
  watchdog: WatchdogState,
  ports: readonly string[] = [],
  certificateDays = 900,
  untold: ReadonlyMap<string, string> = new Map(),
  room: Room | null = null,
  leftovers: readonly string[] = [],
) {
  const member = (id: string) => ({ id, role: 'server' as const, addresses: ['10.77.0.11'], voter: true });
  const yaml = {
    servers: { a: { watchdog: '/dev/watchdog' } },
    groups: { d3: { servers: ['a', 'b'], identity: { mode: 'add', addresses: ['10.77.0.100/24'] } } },
  };
  const parsed = parseConfig(yaml, 'cluster.yaml', [
    member('a'),
    { ...member('b'), addresses: ['10.77.0.12'] },
  ]);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  const { certificate, key } = await createAuthority('acme');
  const { request } = await createSigningRequest('a');
  const peer = { cluster: 'acme', role: 'server', id: 'a' } as const;
  const lifeMs = certificateDays * 86_400_000;
  const issued = await issueCertificate({ certificate, key }, request, {
    peer,
    addresses: ['10.77.0.11'],
    lifeMs,
  });
  if (issued.kind === 'error') throw new Error(issued.error.says);
  const members = new Map(['a', 'b'].map((id) => [id, member(id)]));
  const state: Partial<AgentState> = { self: 'a', role: 'server', config: parsed.config, members };
  const host = {
    self: 'a',
    state: () => state,
    platform: { missing: () => Promise.resolve([]), watchdogs: { look: () => watchdog } },
  };
  const parts = {
    addresses: { deviceOf: () => Promise.resolve('eth0') },
    names: { untold },
    clocks,
    guard: null,
    mirrors: null,
    space: new Space(() => Promise.resolve(room)),
    directory: '/var/lib/holdfast',
    certificate: issued.value,
    ports: () => ports,
    leftovers: () => leftovers,
  };
  return new Preflight(host as unknown as Host, parts as unknown as PreflightParts).find();
}

describe('preflight', () => {
  it('finds nothing where the watchdog resets before anybody takes over', async () => {
    expect(await found({ kind: 'usable', timeoutMs: 15_000 })).toEqual([]);
    expect(await found({ kind: 'usable', timeoutMs: null })).toEqual([]);
  });

  it('names a wall clock that is far off, and not for longer than its host is a member', async () => {
    clocks = new ClockWatch();
    for (const member of ['b', 'w']) {
      clocks.heard(member, 0, 0, 0, 0);
      clocks.heard(member, 1_000, 3_600_000, 1_000, 0);
    }
    expect(await found({ kind: 'usable', timeoutMs: null })).toMatchObject([
      { name: 'clock/b', says: 'the wall clock of b is hours ahead of ours' },
    ]);
    clocks = new ClockWatch();
  });

  it('names a group whose name the name server was not told', async () => {
    const untold = new Map([['d3', 'nsupdate: no answer from 10.77.0.53']]);
    expect(await found({ kind: 'usable', timeoutMs: null }, [], 900, untold)).toEqual([
      {
        ...{ name: 'd3/dns', server: 'a' },
        says: 'the name server does not know that d3 is here: nsupdate: no answer from 10.77.0.53',
        fix: 'look at the name server and identity.dns; it is tried again by itself',
      },
    ]);
  });

  it('names what an earlier life left here, which holds up every takeover', async () => {
    const left = ['g1: disk: /dev/nbd0 is still in use'];
    expect(await found({ kind: 'usable', timeoutMs: null }, [], 900, new Map(), null, left)).toMatchObject([
      { name: 'leftovers', server: 'a', says: left[0] },
    ]);
  });

  it('names a watchdog that counts for too long, with what it may count', async () => {
    const [problem] = await found({ kind: 'usable', timeoutMs: 60_000 });
    expect(problem).toMatchObject({
      name: 'watchdog',
      server: 'a',
      fix: expect.stringContaining('to 18 s or less') as string,
    });
    expect(problem?.says).toContain('counts 1m');
  });

  it('names a watchdog that is not there', async () => {
    const [problem] = await found({ kind: 'unusable', says: 'ENOENT' });
    expect(problem).toMatchObject({ name: 'watchdog', says: "the watchdog can't be used: ENOENT" });
  });

  it('names ports that are taken', async () => {
    expect(await found({ kind: 'usable', timeoutMs: 15_000 }, ['no metrics on port 7446'])).toMatchObject([
      { name: 'port', says: 'no metrics on port 7446' },
    ]);
  });

  it('names a disk that is nearly full', async () => {
    const room = { device: 1, bytesFree: 1_000_000, bytesAll: 1e12, filesFree: 1e6, filesAll: 1e7 };
    expect(await found({ kind: 'usable', timeoutMs: null }, [], 900, new Map(), room)).toMatchObject([
      { name: 'space', server: 'a', says: expect.stringContaining('of /var/lib/holdfast') as string },
    ]);
  });

  it('says of a certificate that ends what a member can really do', async () => {
    const [problem] = await found({ kind: 'usable', timeoutMs: 15_000 }, [], 3);
    expect(problem?.name).toBe('certificate');
    expect(problem?.fix).toContain('holdfast remove a');
  });
});
