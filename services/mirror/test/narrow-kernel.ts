/** A file system that takes no name with a colon, as FAT, or one with short names, would: in front of the kernel's calls. */
import koffi from 'koffi';
import { libc } from '../src/os/libc.ts';

const O_CREAT = 0o100;
const numbers = { ENAMETOOLONG: 36, EILSEQ: 84, EINVAL: 22 } as const;
export type Refusal = keyof typeof numbers;

/** FAT says EINVAL when a name is made, and nothing special when it is looked for. Answers how to end it. */
export function refuseColons(refusal: Refusal): () => void {
  const { syscall, statx, mkdirat, linkat, renameat2 } = libc;
  const refuses = (name: Uint8Array): boolean => {
    const path = Buffer.from(name).toString('latin1').split('\0')[0] ?? '';
    return path.slice(path.lastIndexOf('/') + 1).includes(':');
  };
  const refused = (): number => {
    koffi.errno(numbers[refusal]);
    return -1;
  };
  const looks = refusal !== 'EINVAL';
  const fake = <Args extends unknown[]>(
    call: (...args: Args) => number,
    isRefused: (...args: Args) => boolean,
  ): never => ((...args: Args) => (isRefused(...args) ? refused() : call(...args))) as never;
  libc.syscall = fake(syscall, (_number, _fd, path, how) => {
    const makes = (Buffer.from(how).readUInt32LE(0) & O_CREAT) !== 0;
    return (makes || looks) && refuses(path);
  });
  libc.statx = fake(statx, (_fd, path) => looks && refuses(path));
  libc.mkdirat = fake(mkdirat, (_fd, path) => refuses(path));
  libc.linkat = fake(linkat, (_from, _name, _to, path) => refuses(path));
  libc.renameat2 = fake(renameat2, (_from, _name, _to, path) => refuses(path));
  return () => Object.assign(libc, { syscall, statx, mkdirat, linkat, renameat2 });
}
