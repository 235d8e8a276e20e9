/** Where `join` puts a member, and what is known of the token when something goes wrong on the way. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createToken, encodeToken, fingerprint } from '@holdfast/wire/directory';
import { failure, listenRpc, membersService, type RpcServer } from '@holdfast/wire/rpc';
import { cluster, member, value } from '../../wire/test/cluster.ts';
import { connectAdmin } from '../src/member-connection.ts';
import { FakeCluster, run, type Ran } from './fake-cluster.ts';

let folder = '';
let server: RpcServer;
let token = '';
let asked = 0;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-join-'));
  asked = 0;
  const acme = await cluster();
  token = encodeToken(createToken('acme', 'server', fingerprint(acme.authority.certificate)));
  const used = failure('refused', 'the token is unknown, or was used already');
  const members = membersService({
    join: () => {
      asked += 1;
      return Promise.resolve(used);
    },
    enrol: () => Promise.resolve(used),
  });
  const credentials = await member(acme, 'server', 'a');
  server = value(await listenRpc({ credentials, host: '127.0.0.1', port: 0, services: [members] }));
});

afterEach(async () => {
  await server.close(200);
  rmSync(folder, { recursive: true, force: true });
});

/** b joins at the path, by the seeds. */
const joins = (dir: string, ...ports: readonly number[]): Promise<Ran> => {
  const seeds = ports.flatMap((port) => ['--seed', `127.0.0.1:${port}`]);
  const argv = ['join', '--dir', dir, ...seeds, '--token', token, '--node', 'b', '--address', '127.0.0.1'];
  return run(new FakeCluster(), argv, { connect: connectAdmin });
};

describe('a host that joins', () => {
  it('finds out that no member can be made there before it spends the token', async () => {
    // Room for the name, and none for what is built beside it.
    const { status, err } = await joins(join(folder, 'b'.repeat(245)), server.port);
    expect({ status, asked }).toEqual({ status: 2, asked: 0 });
    expect(err).toContain('ENAMETOOLONG');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('leaves nothing of the trial behind when it is not admitted', async () => {
    const { status, err } = await joins(join(folder, 'deep', 'er', 'b'), server.port);
    expect({ status, asked }).toEqual({ status: 2, asked: 1 });
    expect(err).not.toContain('may have admitted');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('is told that it may have been admitted, where a seed before the one that refused gave no answer', async () => {
    const mute = createServer((socket) => socket.resume().on('error', () => socket.destroy()));
    await new Promise<void>((listening) => mute.listen(0, '127.0.0.1', listening));
    const { status, err } = await joins(join(folder, 'b'), (mute.address() as AddressInfo).port, server.port);
    mute.close();
    expect(status).toBe(2);
    expect(err).toContain('was used already');
    expect(err).toContain('If holdfast status shows it on a member, holdfast remove b there');
  }, 20_000);
});
