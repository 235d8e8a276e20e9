/** A read that nobody answered: who was asked, what each of them did, and what this person can do about it. */
import type { MemberDirectory, WireError } from '@holdfast/wire/directory';
import type { PoolMember } from '@holdfast/wire/rpc';

export function nobodyAnswered(
  { path, record }: Pick<MemberDirectory, 'path' | 'record'>,
  asked: readonly PoolMember[],
  error: WireError,
): string {
  const tried = asked.map(({ id, addresses, port }) => `${id} at ${addresses.join(', ')} port ${port}`);
  const list =
    tried.length === 0
      ? ['tried nobody: the directory knows no server or witness']
      : tried.map((one) => `tried ${one}`);
  const advice: string[] = [];
  // Whose certificate is wrong runs, and is reached.
  if (error.kind !== 'certificate') {
    const runs = record.role === 'server' || record.role === 'witness';
    advice.push(
      runs
        ? `start the member of ${path} with \`holdfast run\`, or check the network and --dir`
        : 'is the network to them up, and does holdfast run there?',
    );
  }
  const head = `no member of the cluster ${record.cluster} answers`;
  return [head, ...list, ...error.message.split('; '), ...advice].join('\n');
}
