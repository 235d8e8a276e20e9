/**
 * What is mounted where, for this process. Source: proc(5), /proc/self/mountinfo.
 */
import { readFileSync } from 'node:fs';

export interface Mount {
  /** Where it is, absolute. */
  readonly at: string;
  /** Which folder of its file system is shown there. */
  readonly shows: string;
  /** `major:minor` of the file system. */
  readonly device: string;
  readonly readOnly: boolean;
  /** Of this mount: ro, nosuid, noatime ... */
  readonly options: readonly string[];
}

/** In the order of mounting: of several at one place the last is what is seen. */
export function mounts(): Mount[] {
  return readFileSync('/proc/self/mountinfo', 'latin1').split('\n').filter(Boolean).map(parsed);
}

/** Places beneath a folder where another mount is, absolute. */
export function mountedBeneath(folder: string): string[] {
  const prefix = `${folder.replace(/\/$/, '')}/`;
  return mounts()
    .map(({ at }) => at)
    .filter((at) => at.startsWith(prefix));
}

function parsed(line: string): Mount {
  const [, , device = '', shows = '', at = '', flags = ''] = line.split(' ');
  const options = flags.split(',');
  return { at: plain(at), shows: plain(shows), device, readOnly: options.includes('ro'), options };
}

/** Space, tab, newline and backslash are written in octal. */
function plain(text: string): string {
  const bytes = text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
  return Buffer.from(bytes, 'latin1').toString();
}
