/** The peers' programs. They are only compared with: without them a measurement is left out, and says so. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const installMsMax = 300_000;
const folders = ['/usr/sbin', '/usr/bin', '/sbin', '/bin', '/usr/local/sbin', '/usr/local/bin'];

export function isInstalled(program: string): boolean {
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false; // not in this folder
    }
  });
}

export type Installed = { readonly kind: 'ready' } | { readonly kind: 'missing'; readonly says: string };

/** Installs Debian packages when a program is missing and this is root. Their services are kept from starting. */
export function needPackages(
  programs: readonly string[],
  packages: readonly string[],
  say: (line: string) => void,
): Installed {
  const missing = programs.filter((program) => !isInstalled(program));
  if (missing.length === 0) return { kind: 'ready' };
  const install = `apt-get install ${packages.join(' ')}`;
  const says = `${missing.join(', ')} not installed; install with: ${install}`;
  if (process.geteuid?.() !== 0) return { kind: 'missing', says };
  say(`installing the Debian packages ${packages.join(' ')}, only to compare with`);
  const done = withoutServiceStarts(() =>
    spawnSync('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      encoding: 'utf8',
      timeout: installMsMax,
    }),
  );
  if (done.status === 0 && programs.every(isInstalled)) return { kind: 'ready' };
  const why = (done.stderr || done.error?.message || '').trim().split('\n').at(-1) ?? '';
  return { kind: 'missing', says: `${says} (${why})` };
}

const policyFile = '/usr/sbin/policy-rc.d';

/** Debian starts a package's services unless this file forbids it (invoke-rc.d(8)). */
function withoutServiceStarts<Result>(act: () => Result): Result {
  if (existsSync(policyFile)) return act();
  writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return act();
  } finally {
    rmSync(policyFile, { force: true });
  }
}
