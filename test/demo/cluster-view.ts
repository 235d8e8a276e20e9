/** The real command line at work on a host of the lab, its output on our screen. */
import { fileURLToPath } from 'node:url';
import type { Lab } from '@holdfast/lab';
import type { Screen } from './screen.ts';

const entry = fileURLToPath(new URL('../bin/holdfast.js', import.meta.resolve('@holdfast/cli')));
const limitMs = 60_000;

/** Resolves to its exit status. On a terminal it draws by itself, steps as they happen and colours included. */
export function showHoldfast(
  screen: Screen,
  lab: Lab,
  hostName: string,
  args: readonly string[],
): Promise<number> {
  screen.line(screen.paint('dim', `  ${hostName}$ holdfast ${args.join(' ')}`));
  const host = lab.host(hostName);
  return new Promise((resolve, reject) => {
    const child = host.spawn([process.execPath, entry, ...args], {
      env: { HOLDFAST_DIR: host.dir, ...(screen.colours ? {} : { NO_COLOR: '1' }) },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const limit = setTimeout(() => child.kill('SIGKILL'), limitMs);
    child.on('error', reject);
    child.on('exit', (code) => {
      clearTimeout(limit);
      resolve(code ?? 1);
    });
  });
}
