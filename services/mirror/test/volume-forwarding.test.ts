/** What a source counts as under way to a target. */
import type { Connection, Frame } from '../src/transport/types.ts';
import type { BlockChange } from '../src/transport/volume-frames.ts';
import { isTooMuch } from '../src/volumes/source/congestion.ts';
import { Forwarding } from '../src/volumes/source/forwarding.ts';

const dataBytes = 4_096;

const write = (chunk: number, bytes: number): BlockChange => ({
  kind: 'write',
  offset: chunk * dataBytes,
  contents: Buffer.alloc(bytes, 1),
});

function begun(): { readonly forwarding: Forwarding; readonly sent: Frame[] } {
  const sent: Frame[] = [];
  const connection = { dataBytes, send: (frame: Frame) => sent.push(frame) > 0 } as unknown as Connection;
  return { forwarding: new Forwarding(connection, 0, () => true), sent };
}

const acknowledge = (forwarding: Forwarding, number: number): string =>
  forwarding.acknowledge({
    kind: 'volume-ack',
    received: number,
    durable: number,
    sequence: 0,
    consistent: true,
  });

it('a chunk is under way until the frame is durable that carries the end of it', () => {
  const { forwarding, sent } = begun();
  forwarding.add(1, write(0, 3 * dataBytes), 0, 2);
  expect(sent).toHaveLength(3);
  acknowledge(forwarding, 1);
  expect([...forwarding.chunks()]).toEqual([0, 1, 2]);
  acknowledge(forwarding, 3);
  expect([...forwarding.chunks()]).toEqual([]);
});

it('and so are those that a comparison found to differ, and that take several frames', () => {
  const { forwarding, sent } = begun();
  forwarding.addDifferences([write(4, dataBytes), write(5, dataBytes), write(6, dataBytes)], [4, 5, 6]);
  expect(sent).toHaveLength(3);
  acknowledge(forwarding, 2);
  expect([...forwarding.chunks()]).toContain(6);
  acknowledge(forwarding, 3);
  expect([...forwarding.chunks()]).toEqual([]);
});

it('zeros are lacking as what they cover, and held as the chunks that are remembered', () => {
  const { forwarding } = begun();
  const chunks = 1_048_576;
  const length = chunks * dataBytes;
  forwarding.add(1, { kind: 'zero', offset: 0, length, hole: true }, 0, chunks - 1);
  forwarding.flush();
  expect([forwarding.bytes, forwarding.lackingBytes]).toEqual([0, length]);
  expect(forwarding.oldestMs).not.toBeNull();
  // Nothing is held without a bound (congestion.ts).
  expect(isTooMuch(forwarding.heldBytes)).toBe(false);
  forwarding.add(2, { kind: 'zero', offset: length, length: dataBytes, hole: true }, chunks, chunks);
  expect(isTooMuch(forwarding.heldBytes)).toBe(true);
  forwarding.flush();
  acknowledge(forwarding, 2);
  expect([forwarding.lackingBytes, forwarding.heldBytes]).toEqual([0, 0]);
});

it('a barrier is not sent again before something else was', () => {
  const { forwarding, sent } = begun();
  forwarding.add(1, write(0, 512), 0, 0);
  forwarding.barrier();
  forwarding.barrier();
  expect(sent.map((frame) => frame.kind === 'volume-writes' && frame.barrier)).toEqual([true]);
  forwarding.add(2, write(1, 512), 1, 1);
  forwarding.flush();
  forwarding.barrier();
  forwarding.barrier();
  expect(sent.map((frame) => frame.kind === 'volume-writes' && frame.barrier)).toEqual([true, false, true]);
  acknowledge(forwarding, 3);
  forwarding.barrier();
  expect(sent).toHaveLength(3);
});
