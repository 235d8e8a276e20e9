import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { program } from './compiled.ts';

it('a client for whom there is no descriptor goes on waiting', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-accept-'));
  try {
    const child = program(folder, 'accept-child');
    const argv = ['-c', 'ulimit -n 64; exec "$0" "$@"', process.execPath, child, join(folder, 'socket')];
    expect(execFileSync('sh', argv, { encoding: 'utf8', timeout: 20_000 })).toBe('scarce, then number');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
