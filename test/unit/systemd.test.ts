/**
 * The unit is one that systemd takes without a word. It is verified below a root of its own, with stand-ins for what it
 * calls and refers to, so that neither Holdfast nor a running systemd is needed. `systemd-analyze` prints unknown
 * keys as warnings and exits 0, so that silence is part of what is checked.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const unit = readFileSync(
  fileURLToPath(new URL('../../deploy/systemd/holdfast.service', import.meta.url)),
  'utf8',
);
const targets = ['sysinit', 'basic', 'shutdown', 'network-online', 'multi-user'];

let root = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'holdfast-unit-'));
  const units = join(root, 'etc/systemd/system');
  mkdirSync(units, { recursive: true });
  for (const name of targets) writeFileSync(join(units, `${name}.target`), `[Unit]\nDescription=${name}\n`);
  for (const [folder, name] of [
    ['usr/bin', 'holdfast'],
    ['bin', 'kill'],
  ] as const) {
    mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, folder, name), '#!/bin/sh\n');
    chmodSync(join(root, folder, name), 0o755);
  }
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function verify(text: string): { readonly status: number | null; readonly says: string } {
  writeFileSync(join(root, 'etc/systemd/system/holdfast.service'), text);
  const { status, stdout, stderr, error } = spawnSync(
    'systemd-analyze',
    [`--root=${root}`, 'verify', 'holdfast.service'],
    { encoding: 'utf8', timeout: 30_000 },
  );
  if (error !== undefined) throw new Error(`systemd-analyze (Debian package systemd): ${error.message}`);
  return { status, says: `${stdout}${stderr}`.trim() };
}

function setting(name: string): string | undefined {
  return new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1];
}

describe('the systemd unit', () => {
  it('is verified by systemd without a warning', () => {
    expect(verify(unit)).toEqual({ status: 0, says: '' });
  });

  it('is really looked at: a misspelt setting and a missing program are found', () => {
    expect(verify(unit.replace('\nRestart=', '\nRestrt=')).says).toContain('Restrt');
    expect(verify(unit.replace('/usr/bin/holdfast run', '/usr/bin/holdfst run')).status).not.toBe(0);
  });

  it('leaves the guard and the services alone when `run` ends', () => {
    expect(setting('KillMode')).toBe('process');
    expect(setting('OOMPolicy')).toBe('continue');
    expect(setting('ExecReload')).toContain('-HUP');
  });

  it('gives a release as much time as `run` allows itself', async () => {
    const { usualLimits } = await import('../../services/cli/src/run/run-member.ts');
    const { releaseMs, mirrorMs, quorumMs, guardMs } = usualLimits;
    const wholeMs = releaseMs + mirrorMs + quorumMs + guardMs;
    expect(Number(setting('TimeoutStopSec')) * 1_000).toBeGreaterThan(wholeMs);
  });
});
