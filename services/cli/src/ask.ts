/** One conversation with the cluster: connect, ask, close, and failures as trouble. */
import type { Answer } from '@holdfast/wire/rpc';
import type { AdminClient } from './admin-client.ts';
import type { Context } from './context.ts';
import { callTrouble, ok, type Fallible } from './trouble.ts';

/** Runs the conversation and closes the connection however it ends. */
export async function withCluster<T>(
  context: Context,
  talk: (client: AdminClient) => Promise<Fallible<T>>,
): Promise<Fallible<T>> {
  const connected = await context.connect(context.dir);
  if (connected.kind === 'error') return connected;
  const client = connected.value;
  try {
    return await talk(client);
  } finally {
    client.close();
  }
}

/** The reply, or trouble. `doing` completes "Nobody knows whether it was done: ...". */
export async function ask<T>(answer: Promise<Answer<T>>, doing: string): Promise<Fallible<T>> {
  const answered = await answer;
  return answered.kind === 'ok' ? ok(answered.value) : callTrouble(answered.error, doing);
}

/** Of a dry run that orders nothing: what every member would say to one that may only read. Null: it may order. */
export function refusedToChange(client: AdminClient, doing: string): Fallible<never> | null {
  const may = client.mayChange();
  return may.kind === 'ok' ? null : callTrouble(may.error, doing);
}
