/** A person has a volume compared as a whole, and is answered when that is done. */
import type { MirrorRunRow } from '@holdfast/wire/mirror';
import { resyncBlocks } from '../src/process/volume-resync-run.ts';
import type { Answered } from '../src/process/side.ts';
import { portsTo } from './run-ports.ts';
import { inStep, VolumeHost } from './volume-hosts.ts';

let anna: VolumeHost;
let bert: VolumeHost;

beforeEach(() => {
  anna = new VolumeHost('anna');
  bert = new VolumeHost('bert');
});
afterEach(async () => {
  await anna.close();
  await bert.close();
});

function resync(signal = new AbortController().signal): Promise<Answered> {
  if (anna.source === null) throw new Error('anna is no source');
  const rows: MirrorRunRow[] = [];
  return resyncBlocks(anna.source, 'd3/disk', ['bert'], portsTo(rows, signal));
}

it('is done when the target is in step, and what differed was sent', async () => {
  await bert.openTarget();
  await anna.openSource(1n, [bert]);
  await inStep(anna, bert);
  bert.disk.open('volume').write(Buffer.from('rot'), 4_096);
  expect(await resync()).toEqual({
    kind: 'done',
    says: 'd3/disk was compared as a whole with bert, and is in step',
  });
  expect(bert.contents().equals(anna.contents())).toBe(true);
  expect(anna.source?.rows()).toMatchObject([{ target: 'bert', state: 'replicating' }]);
});

it('says of a target that is away that it is compared when it is back', async () => {
  await anna.openSource(1n, [bert]);
  expect(await resync()).toMatchObject({
    kind: 'failed',
    says: expect.stringMatching(/^bert is compared when it is back: /) as string,
  });
});

it('ends when whoever asked goes away', async () => {
  await anna.openSource(1n, [bert]);
  expect(await resync(AbortSignal.timeout(50))).toEqual({
    ...{ kind: 'failed', as: 'failed', says: 'whoever asked went away' },
  });
});
