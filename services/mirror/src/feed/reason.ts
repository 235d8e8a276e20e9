/** Why a file system can't be watched, in one sentence for a person. */
import { OsError } from '../os/types.ts';

const means: Readonly<Record<string, string>> = {
  EPERM: 'watching a file system needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH',
  EINVAL: 'this kernel can not watch a whole file system with names (Linux 5.9 can)',
  ENOSYS: 'this kernel has no fanotify',
  EXDEV: 'this part of the file system can not be watched as a whole',
  ENODEV: 'this file system has no identity that changes could be told of',
  EOPNOTSUPP: 'this file system can not tell which file changed',
};

/** Throws what is not a refusal of the kernel. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof OsError)) throw error;
  const meaning = means[error.code];
  return meaning === undefined ? error.message : `${meaning} (${error.call}: ${error.code})`;
}
