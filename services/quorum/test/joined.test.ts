/** A member that joined and has no vote yet: what it would lack on the day on which it gets one is told at its start. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import {
  createMemberDirectory,
  openMemberDirectory,
  type KnownMember,
  type MemberDirectory,
} from '@holdfast/wire/directory';
import type { Log } from '@holdfast/wire/log';
import { contents, cluster, inFolder, value } from '../../wire/test/cluster.ts';
import { enrolUntilVoter } from '../src/enrolment.ts';
import { hasBegun, markBegun } from '../src/etcd/begun.ts';
import { etcdsOn } from '../src/etcd/process.ts';
import { QuorumProcess } from '../src/process.ts';
import { freePorts } from './etcd-fixture.ts';

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen({ port, host: '0.0.0.0' }, () => resolve(server));
  });
}

const portOf = (server: Server): number => {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
};

/** What the start of a joined member comes to; `etcdClient` is a port that is taken when `taken` is said. */
async function started(path: string | undefined, taken: boolean): Promise<string> {
  const before = process.env['PATH'];
  const others = await Promise.all([0, 0, 0].map(() => listen(0)));
  const [grpc = 0, etcdClient = 0, etcdPeer = 0] = others.map(portOf);
  const kept = taken ? others.splice(1, 1) : [];
  await Promise.all(others.map((server) => new Promise((closed) => server.close(closed))));
  try {
    return await inFolder(async (folder) => {
      const acme = await contents(await cluster(), 'witness', 'w');
      const ports = { ...acme.record.ports, grpc, etcdClient, etcdPeer };
      const made: MemberDirectory = value(
        await createMemberDirectory(`${folder}/w`, { ...acme, record: { ...acme.record, ports } }),
      );
      if (path !== undefined) process.env['PATH'] = path;
      const quorum = new QuorumProcess(made);
      try {
        await quorum.start();
        return 'it runs';
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      } finally {
        await quorum.close();
      }
    });
  } finally {
    process.env['PATH'] = before;
    for (const server of kept) server.close();
  }
}

describe('a member that joined', () => {
  it('says at its start that etcd is not installed', async () => {
    expect(await started('/nowhere', false)).toBe('etcd is not installed: apt-get install etcd-server');
  });

  it('says at its start that a port of its etcd is taken', async () => {
    expect(await started(undefined, true)).toMatch(
      /^etcd can't listen on 0\.0\.0\.0 port \d+: another process does/,
    );
  });

  it('runs, where it lacks nothing', async () => {
    expect(await started(undefined, false)).toBe('it runs');
  });
});

/** A directory of w with free ports, and how a start of it goes; it is stopped again at once. */
async function withVoter(
  others: readonly string[],
  story: (made: { readonly path: string; readonly start: () => Promise<string> }) => Promise<void>,
): Promise<void> {
  const [grpc = 0, etcdClient = 0, etcdPeer = 0] = await freePorts(3);
  await inFolder(async (folder) => {
    const acme = await contents(await cluster(), 'server', 'w');
    const ports = { ...acme.record.ports, grpc, etcdClient, etcdPeer };
    const voter = (id: string, last: number): KnownMember => ({
      ...{ id, role: 'server', addresses: [`127.0.0.${last}`], ports, voter: true },
    });
    const members = [voter('w', 1), ...others.map((id, index) => voter(id, index + 2))];
    const path = join(folder, 'w');
    value(await createMemberDirectory(path, { ...acme, record: { ...acme.record, ports, members } }));
    const start = async (): Promise<string> => {
      const quorum = new QuorumProcess(value(await openMemberDirectory(path)));
      try {
        await quorum.start();
        return 'it runs';
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      } finally {
        await quorum.close();
      }
    };
    await story({ path, start });
  });
}

const lost = /^the etcd log is missing from .*run `holdfast remove` for it on another member/;

describe('a voter whose etcd has no data', () => {
  it('is refused, and founds no cluster of its own, where it knows others', async () => {
    await withVoter(['a', 'b'], async ({ path, start }) => {
      const before = readFileSync(join(path, 'member.json'), 'utf8');
      expect(await start()).toMatch(lost);
      expect(existsSync(join(path, 'etcd', 'member'))).toBe(false);
      expect(readFileSync(join(path, 'member.json'), 'utf8')).toBe(before);
    });
  });

  it('is a founder at its first start, and never again', async () => {
    await withVoter([], async ({ path, start }) => {
      expect(await start()).toBe('it runs');
      expect(await start()).toBe('it runs');
      rmSync(join(path, 'etcd'), { recursive: true });
      expect(await start()).toMatch(lost);
      expect(existsSync(join(path, 'etcd', 'member'))).toBe(false);
    });
  }, 30_000);

  it('is marked at its next start, where an earlier version founded it', async () => {
    await withVoter([], async ({ path, start }) => {
      expect(await start()).toBe('it runs');
      const mark = join(path, 'state', 'etcd-began');
      rmSync(mark);
      expect(await start()).toBe('it runs');
      expect(existsSync(mark)).toBe(true);
    });
  }, 30_000);
});

describe('a voter that is ended while its etcd starts', () => {
  it('takes it along', async () => {
    await withVoter([], async ({ path }) => {
      const quorum = new QuorumProcess(value(await openMemberDirectory(path)));
      const started = quorum.start().then(
        () => 'it runs',
        (error: unknown) => String(error),
      );
      while (etcdsOn(join(path, 'etcd'), 'etcd').length === 0) await pause(5);
      await quorum.close();
      expect(etcdsOn(join(path, 'etcd'), 'etcd')).toEqual([]);
      expect(await started).toContain('it ended while etcd started');
    });
  }, 30_000);
});

describe('whether etcd began', () => {
  it('is not so where a member that joins never got as far as its log', async () => {
    await inFolder(async (folder) => {
      const acme = await contents(await cluster(), 'server', 'w');
      const made = value(await createMemberDirectory(`${folder}/w`, acme));
      mkdirSync(join(made.path, 'etcd', 'member', 'snap'), { recursive: true });
      expect([hasBegun(made, false), hasBegun(made, true)]).toEqual([false, true]);
      expect(await markBegun(made, 0)).toBeNull();
      expect(hasBegun(made, false)).toBe(false);
      mkdirSync(join(made.path, 'etcd', 'member', 'wal'));
      writeFileSync(join(made.path, 'etcd', 'member', 'wal', '0.wal'), '');
      expect(hasBegun(made, false)).toBe(true);
      expect(await markBegun(made, 0)).toBeNull();
      rmSync(join(made.path, 'etcd'), { recursive: true });
      expect(hasBegun(made, false)).toBe(true);
    });
  });
});

describe('the enrolment', () => {
  it('tells once what goes wrong, and goes on', async () => {
    const acme = await contents(await cluster(), 'witness', 'w');
    const { authority, certificate, key } = acme;
    const told: string[] = [];
    const log: Log = {
      error: (_kind, says) => void told.push(says),
      warn: () => undefined,
      info: () => undefined,
      debug: () => undefined,
    };
    let asked = 0;
    await enrolUntilVoter(
      {
        self: 'w',
        credentials: { cluster: 'acme', authority, certificate, key },
        log,
        known: () => {
          asked += 1;
          throw new Error('etcd was not started');
        },
        isOver: () => asked === 3,
        start: () => Promise.resolve(),
        becomeVoter: () => Promise.resolve(),
      },
      1,
    );
    expect(told).toEqual(["this member can't vote: etcd was not started; it is tried again"]);
  });
});
