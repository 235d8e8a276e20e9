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
  return lines().map(parsed);
}

/** Places beneath a folder where another mount is, absolute, byte for byte: a name need not be UTF-8. */
export function mountedBeneath(folder: string): Buffer[] {
  const prefix = Buffer.from(`${folder.replace(/\/$/, '')}/`);
  return lines()
    .map((line) => bytesOf(line.split(' ')[4] ?? ''))
    .filter((at) => at.subarray(0, prefix.length).equals(prefix));
}

function lines(): string[] {
  return readFileSync('/proc/self/mountinfo', 'latin1').split('\n').filter(Boolean);
}

function parsed(line: string): Mount {
  const [, , device = '', shows = '', at = '', flags = ''] = line.split(' ');
  const options = flags.split(',');
  return {
    at: bytesOf(at).toString(),
    shows: bytesOf(shows).toString(),
    device,
    readOnly: options.includes('ro'),
    options,
  };
}

/** Space, tab, newline and backslash are written in octal. */
function bytesOf(text: string): Buffer {
  const plain = text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
  return Buffer.from(plain, 'latin1');
}
