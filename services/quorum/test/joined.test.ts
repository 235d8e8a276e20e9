/** A member that joined and has no vote yet: what it would lack on the day on which it gets one is told at its start. */
import { createServer, type Server } from 'node:net';
import { createMemberDirectory, type MemberDirectory } from '@holdfast/wire/directory';
import type { Log } from '@holdfast/wire/log';
import { contents, cluster, inFolder, value } from '../../wire/test/cluster.ts';
import { enrolUntilVoter } from '../src/enrolment.ts';
import { QuorumProcess } from '../src/process.ts';

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
