/** The image of a volume is replaced by another one at the same path, of the same size; the records stay. */
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VolumeMember } from './volume-members.ts';
import { volumeBytes } from './volume-hosts.ts';

const limitMs = 120_000;
let folder: string;
let anna: VolumeMember;
let bert: VolumeMember;
let contents: Buffer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-replaced-'));
  [anna, bert] = await VolumeMember.pair({ folder, mode: 'async' });
  contents = randomBytes(volumeBytes);
  writeFileSync(anna.image, contents);
  anna.start();
  bert.start();
  bert.beTarget(1n, anna);
  anna.beSource(1n, bert);
  await inStep();
}, limitMs);
afterEach(async () => {
  await anna.kill();
  await bert.kill();
  rmSync(folder, { recursive: true, force: true });
});

const inStep = (): Promise<void> =>
  bert.until('it is in step', () => {
    const { report } = bert;
    return report?.kind === 'target' && report.state === 'replicating' && report.consistent;
  });

function replace(member: VolumeMember): void {
  renameSync(member.image, `${member.image}.former`);
  writeFileSync(member.image, '');
  truncateSync(member.image, volumeBytes);
}

const says = (member: VolumeMember): string => member.report?.says ?? '';

it(
  'a target whose image is another one is not complete, says so, and gets everything',
  async () => {
    await bert.kill();
    await anna.until('it is missed', () => {
      const { report } = anna;
      return report?.kind === 'source' && report.targets[0]?.state === 'disconnected';
    });
    replace(bert);
    await anna.kill();
    bert.start();
    await bert.until('it says so', () => /is not what was mirrored/.test(says(bert)));
    expect(bert.report).toMatchObject({ kind: 'target', consistent: false });
    expect(await bert.takeOver(2n)).toMatchObject({ kind: 'failed' });
    bert.beTarget(1n, anna);
    anna.start();
    await inStep();
    expect(bert.contents().equals(contents)).toBe(true);
    expect(says(bert)).toBe('');
  },
  limitMs,
);

it(
  'so is one that is replaced while it runs',
  async () => {
    replace(bert);
    await bert.until('it is opened anew', () => bert.contents().equals(contents));
    await inStep();
  },
  limitMs,
);

it(
  'so is one that was emptied in place',
  async () => {
    await bert.kill();
    truncateSync(bert.image, 0);
    truncateSync(bert.image, volumeBytes);
    bert.start();
    await bert.until('it is opened', () => bert.report !== null);
    await inStep();
    expect(bert.contents().equals(contents)).toBe(true);
  },
  limitMs,
);

it(
  'so is one that was truncated, also while it runs',
  async () => {
    await bert.kill();
    truncateSync(bert.image, volumeBytes / 2);
    bert.start();
    await bert.until('it is opened', () => bert.report !== null);
    await inStep();
    expect(bert.contents().equals(contents)).toBe(true);
    truncateSync(bert.image, volumeBytes / 2);
    await bert.until('it is opened anew', () => bert.contents().equals(contents));
    await inStep();
  },
  limitMs,
);

it(
  'an owner does not open another image, and nothing is overwritten, until it is back or a person confirms it',
  async () => {
    await anna.kill();
    replace(anna);
    anna.start();
    const refused = (): boolean =>
      /is not what was mirrored.*holdfast mirror resync d3\/disk/.test(says(anna));
    await anna.until('it says so', refused);
    expect(bert.contents().equals(contents)).toBe(true);
    await anna.kill();
    rmSync(anna.image);
    renameSync(`${anna.image}.former`, anna.image);
    anna.start();
    await anna.until('it is open again', () => anna.report?.kind === 'source' && says(anna) === '');
    await inStep();
    await anna.kill();
    replace(anna);
    anna.start();
    await anna.until('it says so', refused);
    expect(await anna.resync()).toMatchObject({ kind: 'done' });
    await anna.until('it is its source', () => says(anna) === '');
    await inStep();
    await bert.until('it follows', () => bert.contents().equals(Buffer.alloc(volumeBytes)));
  },
  limitMs,
);

it(
  'a copy of the image in its place is another one, which is compared',
  async () => {
    await bert.kill();
    renameSync(bert.image, `${bert.image}.former`);
    copyFileSync(`${bert.image}.former`, bert.image);
    bert.start();
    await bert.until('it is opened', () => bert.report !== null);
    await inStep();
    expect(bert.contents().equals(contents)).toBe(true);
  },
  limitMs,
);
