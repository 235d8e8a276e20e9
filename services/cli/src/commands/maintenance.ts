/** `holdfast maintenance on|off`: decisions are explained, not carried out. */
import { ask, withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { suggestGroup } from '../suggest.ts';
import { ok, wrong, type Ended } from '../trouble.ts';

export interface MaintenanceOptions {
  readonly server?: string;
  readonly group?: string;
  readonly reason?: string;
  readonly dryRun?: boolean;
}

export async function maintenance(
  context: Context,
  state: string,
  options: MaintenanceOptions,
): Promise<Ended> {
  const { server = '', group = '', reason = '', dryRun = false } = options;
  if (server !== '' && group !== '')
    return wrong(
      '--server and --group exclude each other',
      'Give one of them, or none for the whole cluster.',
    );
  const on = state === 'on';
  return withCluster(context, async (client) => {
    const reply = await ask(
      client.setMaintenance({ on, server, group, reason, dryRun }),
      `maintenance ${state}`,
    );
    if (reply.kind === 'error') return group === '' ? reply : suggestGroup(client, group, reply.error);
    const { changed } = reply.value;
    const what = group !== '' ? `group ${group}` : server !== '' ? `server ${server}` : 'the whole cluster';
    const value = {
      maintenance: on,
      server: server === '' ? null : server,
      group: group === '' ? null : group,
      changed,
      dryRun,
    };
    const said = changed
      ? `maintenance of ${what} is ${state}`
      : `maintenance of ${what} was ${state} already`;
    const planned = changed ? `dry run: maintenance of ${what} would go ${state}` : `dry run: ${said}`;
    await show(context, { value, lines: () => [dryRun ? planned : said] });
    return ok(exitStatus.done);
  });
}
