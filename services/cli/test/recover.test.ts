/** `holdfast recover --alone` up to the moment at which it would touch etcd: what is refused, and with which exit status. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockDirectory, openMemberDirectory, updateKnownMembers } from '@holdfast/wire/directory';
import { FakeCluster, run, type Ran } from './fake-cluster.ts';

let folder = '';
let cluster = new FakeCluster();

const holdfast = (...argv: readonly string[]): Promise<Ran> =>
  run(cluster, [...argv, '--dir', join(folder, 'b')]);
const alone = (...argv: readonly string[]): Promise<Ran> => holdfast('recover', '--alone', ...argv);

/** b of a, b and w; nobody listens at the ports of the other two. */
async function becomeThree(grpc = 1): Promise<void> {
  const opened = await openMemberDirectory(join(folder, 'b'));
  if (opened.kind === 'error') throw new Error(opened.error.says);
  const [self] = opened.value.record.members;
  if (self === undefined) throw new Error('a founder knows itself');
  const ports = { ...self.ports, grpc, etcdPeer: 1 };
  const others = ['a', 'w'].map((id) => ({ ...self, id, ports }));
  const updated = await updateKnownMembers(opened.value, [self, ...others]);
  if (updated.kind === 'error') throw new Error(updated.error.says);
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-recover-'));
  cluster = new FakeCluster();
  const made = await holdfast('init', '--node', 'b', '--cluster', 'acme', '--address', '127.0.0.1');
  expect(made.status).toBe(0);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('recover', () => {
  it('has to be said in full', async () => {
    await becomeThree();
    expect(await holdfast('recover')).toMatchObject({
      status: 2,
      err: expect.stringContaining("required option '--alone'") as string,
    });
    const { status, err } = await alone('--without', 'w');
    expect(status).toBe(4);
    expect(err).toContain('refused: a may still vote, and decide otherwise than b alone');
    expect(err).toContain('That said: --without a --without w.');
  });

  it('has nothing to do for the only voter', async () => {
    expect(await alone()).toMatchObject({
      status: 2,
      err: expect.stringContaining('there is nothing to recover') as string,
    });
  });

  it('says what it would do, and does nothing', async () => {
    await becomeThree();
    const { status, out } = await alone('--without', 'a', '--without', 'w', '--dry-run');
    expect({ status, out }).toEqual({
      status: 0,
      out: 'dry run: b would go on with the only vote; those of a and w would be gone\n',
    });
    expect(cluster.calls).toEqual([]);
  });

  it('is refused while `run` has the directory', async () => {
    await becomeThree();
    const lock = await lockDirectory(join(folder, 'b'), 'run');
    if (lock.kind === 'error') throw new Error(lock.error.says);
    const { status, err } = await alone('--without', 'a', '--without', 'w');
    await lock.value.release();
    expect(status).toBe(4);
    expect(err).toContain('another `holdfast run` uses it');
    expect(err).toContain('systemctl stop holdfast');
  });

  it('is refused while another voter answers', async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    await becomeThree(typeof address === 'object' && address !== null ? address.port : 0);
    const { status, err } = await alone('--without', 'a', '--without', 'w');
    server.close();
    expect(status).toBe(4);
    expect(err).toContain('refused: a and w are running');
    expect(err).toContain('whether there is a majority');
  });
});
