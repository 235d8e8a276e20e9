/** `switchover`, `failback`, `failover`, `release`, `approve`, `deny`: started, then followed to the end. */
import type { admin } from '@holdfast/proto';
import type { AdminClient } from '../admin-client.ts';
import { ask, withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { durationOption } from '../duration-option.ts';
import { exitStatus } from '../exit-status.ts';
import { waitForOperation, waitMsDefault } from '../operation-wait.ts';
import { forPrograms, show } from '../show.ts';
import { suggestGroup, unknownName } from '../suggest.ts';
import { callTrouble, ok, sentence, wrong, type Ended, type Fallible, type Trouble } from '../trouble.ts';

export type OperationCommand = 'switchover' | 'failback' | 'failover' | 'release' | 'approve' | 'deny';

export interface OperationOptions {
  readonly to?: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly wait?: string;
}

export async function operation(
  context: Context,
  kind: OperationCommand,
  target: string,
  options: OperationOptions,
): Promise<Ended> {
  const wait = await durationOption('--wait', options.wait, waitMsDefault);
  if (wait.kind === 'error') return wait;
  const { to = '', force = false, dryRun = false } = options;
  const request = { kind, target, to, force, dryRun, by: '' };
  return withCluster(context, async (client) => {
    const started = await ask(client.startOperation(request), `${kind} ${target}`);
    if (started.kind === 'error') return explained(client, request, started.error);
    if (dryRun) return showPlan(context, request, started.value);
    if (!forPrograms(context)) warn(context, started.value.warnings);
    const id = started.value.operation === '' ? target : started.value.operation;
    return waitForOperation(context, client, { id, kind, waitMs: wait.value });
  });
}

function warn({ terminal }: Context, warnings: readonly string[]): void {
  for (const warning of warnings) terminal.err(`holdfast: warning: ${warning}\n`);
}

/** Refused as wrong: is the name of the group, the server or the operation mistyped? */
async function explained(
  client: AdminClient,
  { kind, target, to }: admin.StartOperationRequest,
  found: Trouble,
): Promise<Fallible<never>> {
  if (kind === 'approve' || kind === 'deny') return unknownOperation(client, target, found);
  const group = await suggestGroup(client, target, found);
  if (
    to === '' ||
    found.status !== exitStatus.wrong ||
    (group.kind === 'error' && group.error.says !== found.says)
  )
    return group;
  const status = await client.status();
  const servers = status.kind === 'ok' ? status.value.groups[target]?.servers : undefined;
  return servers === undefined || servers.includes(to) ? group : unknownName('server', to, servers);
}

async function unknownOperation(client: AdminClient, id: string, found: Trouble): Promise<Fallible<never>> {
  const asIs: Fallible<never> = { kind: 'error', error: found };
  if (found.status !== exitStatus.wrong) return asIs;
  const known = await client.getOperation({ id });
  if (known.kind === 'ok') return asIs;
  if (known.error.kind !== 'not-found') return callTrouble(known.error, `look for ${id}`);
  const all = await client.listOperations({ group: '' });
  if (all.kind === 'error') return asIs;
  const waiting = all.value.operations.filter(({ outcome }) => outcome === 'awaiting-approval');
  if (waiting.length === 0)
    return wrong(`there is no operation ${JSON.stringify(id)}`, 'No operation waits for approval.');
  return unknownName(
    'operation',
    id,
    waiting.map((one) => one.id),
  );
}

async function showPlan(
  context: Context,
  request: admin.StartOperationRequest,
  { steps, verdict, warnings }: admin.StartOperationReply,
): Promise<Ended> {
  const { kind, target } = request;
  const value = { dryRun: true, kind, target, steps, verdict, warnings };
  await show(context, {
    value,
    lines: (paint) => [
      `dry run of ${kind} ${target}: nothing was changed`,
      ...steps.map((step, index) => `  ${String(index + 1).padStart(2)}. ${step}`),
      ...warnings.map((warning) => paint('yellow', `warning: ${warning}`)),
      ...(verdict === '' ? [] : [paint('bold', sentence(verdict))]),
    ],
  });
  return ok(exitStatus.done);
}
