/** `holdfast run`: the member in the foreground. */
import { X509Certificate } from 'node:crypto';
import type { Context } from '../context.ts';
import { directoryTrouble, ok, wrong, type Ended } from '../trouble.ts';

export async function run(context: Context, options: { readonly keep?: boolean }): Promise<Ended> {
  const [{ describeProblem, joinAnew, lockDirectory, openMemberDirectory, withArticle }, { runMember }] =
    await Promise.all([import('@holdfast/wire/directory'), import('../run/run-member.ts')]);
  const opened = await openMemberDirectory(context.dir);
  if (opened.kind === 'error') return directoryTrouble(opened.error);
  const { path, record } = opened.value;
  const { role } = record;
  if (role !== 'server' && role !== 'witness')
    return wrong(
      `${record.id} is ${withArticle(role)}, and only servers and witnesses run`,
      'Use this directory with the other commands.',
    );
  // Nobody would speak to it; one that runs already goes on, and `check` has warned long before.
  const endsMs = Date.parse(new X509Certificate(opened.value.certificate).validTo);
  if (endsMs < Date.now())
    return wrong(
      `${path}: the certificate of ${record.id} expired on ${new Date(endsMs).toISOString()}`,
      `Is the clock of this host right? If it is, ${joinAnew}.`,
    );
  const status = await runMember({
    dir: path,
    role,
    keep: options.keep ?? false,
    lock: async (dir) => {
      const lock = await lockDirectory(dir, 'run');
      return lock.kind === 'ok'
        ? { kind: 'locked', release: () => lock.value.release() }
        : { kind: 'busy', says: describeProblem(lock.error) };
    },
  });
  return ok(status);
}
