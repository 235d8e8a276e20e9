/**
 * What is mounted where, for this process. Source: proc(5), /proc/self/mountinfo.
 */
import { readFileSync } from 'node:fs';

export interface Mount {
  readonly id: number;
  /** Where it is, absolute. */
  readonly at: string;
  /** Which folder of its file system is shown there. */
  readonly shows: string;
  /** `major:minor` of the file system. */
  readonly device: string;
  readonly readOnly: boolean;
}

/** In the order of mounting: of several at one place the last is what is seen. Paths as latin1 text, so that no byte is lost. */
export function mounts(): Mount[] {
  return readFileSync('/proc/self/mountinfo', 'latin1').split('\n').filter(Boolean).map(parsed);
}

/** Places beneath a folder where another mount is, absolute. */
export function mountedBeneath(folder: string): string[] {
  const prefix = `${Buffer.from(folder).toString('latin1').replace(/\/$/, '')}/`;
  return mounts()
    .filter(({ at }) => at.startsWith(prefix))
    .map(({ at }) => Buffer.from(at, 'latin1').toString());
}

function parsed(line: string): Mount {
  const [id = '', , device = '', shows = '', at = '', options = ''] = line.split(' ');
  return {
    id: Number(id),
    at: plain(at),
    shows: plain(shows),
    device,
    readOnly: options.split(',').includes('ro'),
  };
}

/** Space, tab, newline and backslash are written in octal. */
function plain(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
