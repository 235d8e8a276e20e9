/** The thread of a volume's clients, as the source begins and ends it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compiled } from './compiled.ts';

/** Empty, or what went wrong. */
function program(folder: string): string {
  const url = compiled(
    folder,
    ...['process/threaded-export', 'process/export-thread'],
    ...['volumes/export/shared-memory', 'volumes/store/file-store'],
  );
  const script = `
    import assert from 'node:assert';
    import { existsSync } from 'node:fs';
    import { ThreadedExport } from '${url}/process/threaded-export.js';
    import { SharedMemory } from '${url}/volumes/export/shared-memory.js';
    import { FileStore } from '${url}/volumes/store/file-store.js';
    const sizeBytes = 65_536;
    const store = FileStore.open('image', true);
    store.resize(sizeBytes);
    const socketPath = process.cwd() + '/nbd.sock';
    const begun = async () => {
      const shared = SharedMemory.made(new SharedArrayBuffer(1), 4_194_304).parts;
      const exporting = ThreadedExport.begun();
      const says = await exporting.listen({ file: store.shared, socketPath, name: 'disk', shared }, { says: console.error, refused: console.error });
      assert.equal(says, '');
      return exporting;
    };
    const former = await begun();
    assert(existsSync(socketPath));
    former.close();
    assert(!existsSync(socketPath), 'closed, and its socket is there still');
    const next = await begun();
    await new Promise((later) => setTimeout(later, 300));
    assert(existsSync(socketPath), 'the former export took the socket of the next one');
    next.close();`;
  const args = ['--input-type=module', '-e', script];
  const { status, stderr } = spawnSync(process.execPath, args, {
    ...{ cwd: folder, encoding: 'utf8', timeout: 30_000 },
  });
  return status === 0 ? '' : `${String(status)}: ${stderr}`;
}

it('the socket is gone when it is closed, so that it never takes that of the next one', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-export-'));
  try {
    expect(program(folder)).toBe('');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);
