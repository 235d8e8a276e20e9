/** What a person is told when blocks are compared, and mended. */
import type { MirrorRunRow } from '@holdfast/wire/mirror';
import { verifyBlocks, without } from '../src/process/volume-verify-runs.ts';
import { portsTo } from './run-ports.ts';
import { inStep, volumeBytes, VolumeHost } from './volume-hosts.ts';

const blockBytes = 4_096;
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

async function rowsOf(repair: boolean): Promise<readonly MirrorRunRow[]> {
  if (anna.source === null) throw new Error('anna is no source');
  const rows: MirrorRunRow[] = [];
  const ports = portsTo(rows);
  expect(await verifyBlocks(anna.source, ['bert'], repair, ports)).toEqual({ kind: 'done', says: '' });
  return rows.filter(({ kind }) => kind !== 'progress');
}

it('says what differs; and with repair what was mended, once that was seen', async () => {
  await bert.openTarget();
  await anna.openSource(1n, [bert]);
  await inStep(anna, bert);
  bert.disk.open('volume').write(Buffer.from('rot'), 20 * blockBytes + 7);
  const difference = { kind: 'difference', target: 'bert', path: '', what: 'contents' };
  const place = { offset: 20 * blockBytes, length: blockBytes };
  const verified = { kind: 'verified', target: 'bert', compared: volumeBytes / blockBytes, says: '' };
  expect(await rowsOf(false)).toEqual([
    { ...difference, ...place, mended: false },
    { ...verified, differing: 1, mended: 0 },
  ]);
  expect(await rowsOf(true)).toEqual([
    { ...difference, ...place, mended: true },
    { ...verified, differing: 0, mended: 1 },
  ]);
  expect(await rowsOf(false)).toEqual([{ ...verified, differing: 0, mended: 0 }]);
  expect(bert.contents().equals(anna.contents())).toBe(true);
});

it('says that the own volume can not be read, and ends nothing by it', async () => {
  await bert.openTarget();
  await anna.openSource(1n, [bert]);
  await inStep(anna, bert);
  anna.disk.refuseReads('volume', 20 * blockBytes);
  const [row] = await rowsOf(false);
  expect(row).toMatchObject({ kind: 'verified', compared: 0 });
  expect(row?.kind === 'verified' && row.says).toMatch(/can't be read at \d+: EIO/);
  anna.disk.refuseReads('volume', null);
  expect(await rowsOf(false)).toMatchObject([{ kind: 'verified', differing: 0, says: '' }]);
});

it('answers for a target that is away', async () => {
  await anna.openSource(1n, [bert]);
  const [row] = await rowsOf(true);
  expect(row).toMatchObject({ kind: 'verified', compared: 0, differing: 0 });
  expect(row?.kind === 'verified' && row.says).toMatch(/is not in step/);
});

it('takes ranges from ranges', () => {
  const range = (offset: number, length: number) => ({ offset, length });
  expect(without([range(0, 10), range(20, 10)], [])).toEqual([range(0, 10), range(20, 10)]);
  expect(without([range(0, 10), range(20, 10)], [range(0, 2), range(4, 6), range(25, 1)])).toEqual([
    ...[range(2, 2), range(20, 5), range(26, 4)],
  ]);
  expect(without([range(0, 10)], [range(0, 10)])).toEqual([]);
});
