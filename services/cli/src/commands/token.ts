/** `holdfast token`: a one-time join token, alone on the last line of standard output. */
import type { AdminClient } from '../admin-client.ts';
import { ask, refusedToChange, withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { durationOption } from '../duration-option.ts';
import { exitStatus } from '../exit-status.ts';
import { forPrograms, show } from '../show.ts';
import { amountOfTime, isoTime, shownTime } from '../text/amounts.ts';
import { ok, wrong, type Ended } from '../trouble.ts';

export interface TokenOptions {
  readonly role: string;
  readonly ttl?: string;
  readonly dryRun?: boolean;
}

const ttlMsDefault = 3_600_000;

export async function token(context: Context, { role, ttl, dryRun = false }: TokenOptions): Promise<Ended> {
  const life = await durationOption('--ttl', ttl, ttlMsDefault);
  if (life.kind === 'error') return life;
  if (life.value <= 0) return wrong('--ttl: a token needs some time to live', 'Write a duration such as 1h.');
  const { tokenTtlMsMax } = await import('@holdfast/wire/directory');
  if (life.value > tokenTtlMsMax)
    return wrong(
      `--ttl: a token lives at most ${amountOfTime(tokenTtlMsMax)}`,
      'Make another one when it is needed.',
    );
  return withCluster(context, async (client) => {
    if (dryRun) return plan(context, client, role, life.value);
    const reply = await ask(client.createToken({ role, ttlMs: life.value }), 'make a token');
    if (reply.kind === 'error') return reply;
    const { token: text, expiresMs } = reply.value;
    if (forPrograms(context)) {
      await show(context, { value: { token: text, role, expires: isoTime(expiresMs) }, lines: () => [] });
      return ok(exitStatus.done);
    }
    context.terminal.err(
      `A join token for one ${role}, valid until ${shownTime(expiresMs)} UTC. On the new host:\n` +
        `  holdfast join --seed ADDRESS --token TOKEN --node NAME${role === 'server' || role === 'witness' ? ' --address ADDRESS' : ''}\n`,
    );
    context.terminal.out(`${text}\n`);
    return ok(exitStatus.done);
  });
}

async function plan(context: Context, client: AdminClient, role: string, ttlMs: number): Promise<Ended> {
  const refused = refusedToChange(client, 'make a token');
  if (refused !== null) return refused;
  const reply = await ask(client.status(), 'status');
  if (reply.kind === 'error') return reply;
  const said = `dry run: would make a join token for one ${role}, valid for ${amountOfTime(ttlMs)}`;
  await show(context, { value: { dryRun: true, role, ttlMs }, lines: () => [said] });
  return ok(exitStatus.done);
}
