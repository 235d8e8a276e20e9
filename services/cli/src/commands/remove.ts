/** `holdfast remove MEMBER`: a member that is off for good is forgotten, and its vote with it. */
import { ask, withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { ok, type Ended } from '../trouble.ts';

export interface RemoveOptions {
  readonly dryRun?: boolean;
}

export async function remove(
  context: Context,
  member: string,
  { dryRun = false }: RemoveOptions,
): Promise<Ended> {
  return withCluster(context, async (client) => {
    const reply = await ask(client.removeMember({ member, dryRun }), `remove ${member}`);
    if (reply.kind === 'error') return reply;
    const { voted } = reply.value;
    const vote = voted ? ', and its vote is gone: the next member that joins gets one' : '';
    const said = dryRun ? `dry run: ${member} would be removed` : `${member} is removed`;
    await show(context, { value: { removed: member, voted, dryRun }, lines: () => [`${said}${vote}`] });
    return ok(exitStatus.done);
  });
}
