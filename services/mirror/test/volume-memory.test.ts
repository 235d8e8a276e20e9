/** Memory that is used again: what somebody still needs is never written over. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readInto } from '../src/transport/direct-reads.ts';
import { Incoming } from '../src/volumes/nbd/incoming.ts';
import { Slabs } from '../src/volumes/nbd/slabs.ts';
import { Batch } from '../src/volumes/source/batch.ts';
import { seeded } from './seeded.ts';

/** The bytes of a client, as the system delivers them. */
function deliver(incoming: Incoming, bytes: Buffer): void {
  const room = incoming.room();
  expect(room.length).toBeGreaterThanOrEqual(bytes.length);
  bytes.copy(room);
  incoming.came(bytes.length);
}

describe('what a client sends', () => {
  it('stays as it is for as long as its slab is held', () => {
    const incoming = new Incoming(new Slabs());
    const random = seeded(3);
    const held: { piece: Buffer; copy: Buffer; letGo: () => void }[] = [];
    for (let round = 0; round < 2_000; round += 1) {
      const bytes = Buffer.alloc(1 + random(12_000), round);
      deliver(incoming, bytes);
      const piece = incoming.take(bytes.length);
      if (piece === null) throw new Error('what came is there');
      const { slab } = incoming;
      slab.hold();
      held.push({ piece, copy: Buffer.from(piece), letGo: () => slab.letGo() });
      while (held.length > random(200)) {
        const first = held.splice(random(held.length), 1)[0];
        expect(first?.piece.equals(first.copy)).toBe(true);
        first?.letGo();
      }
    }
  });

  it('that the system put where there was room before the rest moved is not lost', () => {
    const incoming = new Incoming(new Slabs());
    deliver(incoming, Buffer.from('head'));
    const before = incoming.room();
    expect(incoming.take(4)?.toString()).toBe('head');
    // Paused here, and asked for a piece that does not fit where the room was given out.
    expect(incoming.take(2_000_000)).toBeNull();
    before.fill('x', 0, 10);
    incoming.came(10);
    for (let left = 2_000_000 - 10; left > 0;) {
      const bytes = Math.min(left, incoming.room().length);
      incoming.room().fill('x', 0, bytes);
      incoming.came(bytes);
      left -= bytes;
    }
    expect(incoming.take(2_000_000)?.equals(Buffer.alloc(2_000_000, 'x'))).toBe(true);
  });
});

it('a batch keeps what was added, whatever becomes of where it was', () => {
  const batch = new Batch(0);
  const contents = Buffer.alloc(600_000, 1);
  batch.add(1, { kind: 'write', offset: 0, contents }, 262_144);
  contents.fill(2);
  const frames = batch.take();
  const all = frames.flatMap(({ changes }) =>
    changes.map((change) => (change.kind === 'write' ? change.contents : Buffer.alloc(0))),
  );
  expect(Buffer.concat(all).equals(Buffer.alloc(600_000, 1))).toBe(true);
});

describe('a socket that reads into memory of ours', () => {
  async function heard(prepare: (socket: Socket) => void): Promise<Buffer> {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-reads-'));
    const server = createServer({ pauseOnConnect: true });
    server.listen(join(folder, 's'));
    await once(server, 'listening');
    const client = connect(join(folder, 's'));
    const [socket] = (await once(server, 'connection')) as [Socket];
    prepare(socket);
    const all: Buffer[] = [];
    const memory = Buffer.alloc(1_000);
    readInto(socket, {
      room: () => memory,
      came: (bytes) => all.push(Buffer.from(memory.subarray(0, bytes))),
    });
    client.end(Buffer.alloc(100_000, 'hello'));
    socket.resume();
    await once(socket, 'close');
    server.close();
    rmSync(folder, { recursive: true });
    return Buffer.concat(all);
  }

  const sent = Buffer.alloc(100_000, 'hello');

  it('gets everything, and hears of the end', async () => {
    expect((await heard(() => undefined)).equals(sent)).toBe(true);
  });

  it('gets the same where the system offers no such means', async () => {
    const bytes = await heard((socket) => {
      const { _handle: handle } = socket as unknown as { _handle: { useUserBuffer: unknown } };
      Object.defineProperty(handle, 'useUserBuffer', { value: undefined });
    });
    expect(bytes.equals(sent)).toBe(true);
  });
});
