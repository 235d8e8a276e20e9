/** Programs that others wrote, against our export. */
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exportOf, program, servers, type Export } from './volume-export.ts';

const mebibyte = 1_048_576;
const sizeBytes = 64 * mebibyte;
const openMs = 30_000;

describe.each(servers)('the export of a volume %s', (_where, serve) => {
  let served: Export;
  beforeEach(async () => {
    served = await serve(sizeBytes);
  }, openMs);
  afterEach(() => served.close());

  it('tells nbdinfo its size, its name, and what it can do', async () => {
    const text = await program('nbdinfo', '--json', served.uri);
    const [disk] = (JSON.parse(text) as { exports: Record<string, unknown>[] }).exports;
    expect(disk).toMatchObject({
      'export-name': 'disk',
      'export-size': sizeBytes,
      is_read_only: false,
      can_flush: true,
      can_fua: true,
      can_trim: true,
      can_zero: true,
      can_multi_conn: true,
      can_cache: true,
    });
    expect(await program('nbdinfo', '--list', `nbd+unix:///?socket=${served.socketPath}`)).toContain('disk');
  });

  it('has no other export', async () => {
    await expect(program('nbdinfo', `nbd+unix:///other?socket=${served.socketPath}`)).rejects.toThrow();
  });

  it('gives back to nbdcopy what it took, over several connections', async () => {
    const [from, to] = [join(served.folder, 'from'), join(served.folder, 'to')];
    writeFileSync(from, randomBytes(sizeBytes));
    await program('nbdcopy', '--flush', from, served.uri);
    await program('nbdcopy', served.uri, to);
    expect(readFileSync(to).equals(readFileSync(from))).toBe(true);
    expect(readFileSync(served.image).equals(readFileSync(from))).toBe(true);
  });

  it('keeps holes, and tells of them', async () => {
    const from = join(served.folder, 'from');
    const contents = Buffer.alloc(sizeBytes);
    randomBytes(mebibyte).copy(contents, 8 * mebibyte);
    writeFileSync(from, contents);
    await program('nbdcopy', '--flush', from, served.uri);
    expect(readFileSync(served.image).equals(contents)).toBe(true);
    expect(statSync(served.image).blocks * 512).toBeLessThan(4 * mebibyte);
    const map = JSON.parse(await program('nbdinfo', '--map', '--json', served.uri)) as unknown[];
    expect(map).toEqual([
      expect.objectContaining({ offset: 0, length: 8 * mebibyte, type: 3 }),
      expect.objectContaining({ offset: 8 * mebibyte, length: mebibyte, type: 0 }),
      expect.objectContaining({ offset: 9 * mebibyte, type: 3 }),
    ]);
  });

  it('is a disk to qemu-img', async () => {
    const from = join(served.folder, 'from');
    writeFileSync(from, Buffer.concat([randomBytes(3 * mebibyte), Buffer.alloc(sizeBytes - 3 * mebibyte)]));
    await program('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', from, served.uri);
    expect(await program('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', from, served.uri)).toContain(
      'identical',
    );
  });

  it('does what qemu-io wants: writes, zeroes, discards, flushes, and refuses what lies beyond the end', async () => {
    const io = (...commands: string[]): Promise<string> =>
      program('qemu-io', '-f', 'raw', ...commands.flatMap((one) => ['-c', one]), served.uri);
    const text = await io(
      'write -P 0x5a 512 3072',
      'write -f -P 0xa5 1M 64k',
      'write -z 1M 4k',
      'write -z -u 1032192 4096',
      'discard 1060864 4096',
      'flush',
      'read -P 0x5a 512 3072',
      'read -P 0 1M 4k',
      'read -P 0 1060864 4096',
      'read -P 0xa5 1064960 4096',
      'read -P 0 0 512',
    );
    expect(text).not.toMatch(/failed|error/i);
    await expect(io(`write ${String(sizeBytes)} 512`)).rejects.toThrow();
  });

  it('is right under random writes that fio checks', async () => {
    const text = await program(
      'fio',
      ...['--name=x', '--ioengine=nbd', `--uri=${served.uri}`, '--rw=randwrite', '--bsrange=512-128k'],
      ...['--bs_unaligned=0', '--iodepth=16', '--size=24m', '--verify=crc32c', '--do_verify=1', '--fsync=32'],
      ...['--verify_fatal=1', '--output-format=terse', `--aux-path=${served.folder}`],
    );
    expect(text).not.toMatch(/verify: bad|error=/);
  });
});

it('a volume that is served read-only takes no writes', async () => {
  const served = await exportOf(mebibyte, { readOnly: true });
  try {
    expect(await program('nbdinfo', served.uri)).toContain('is_read_only: true');
    await expect(program('qemu-io', '-f', 'raw', '-c', 'write 0 512', served.uri)).rejects.toThrow();
  } finally {
    await served.close();
  }
});
