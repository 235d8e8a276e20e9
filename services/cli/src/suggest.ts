/** A name that does not exist, with the nearest that does. */
import type { AdminClient } from './admin-client.ts';
import { exitStatus } from './exit-status.ts';
import { trouble, wrong, type Fallible, type Trouble } from './trouble.ts';

/** "no group "d4"; did you mean d3?" */
export async function unknownName(
  noun: string,
  name: string,
  known: readonly string[],
): Promise<Fallible<never>> {
  const { nearest } = await import('@holdfast/core');
  const near = nearest(name, known);
  const names = known.length === 0 ? `There are no ${noun}s yet.` : `The ${noun}s are: ${known.join(', ')}.`;
  const fix = near === null ? names : `Did you mean ${near}? ${names}`;
  return wrong(`there is no ${noun} ${JSON.stringify(name)}`, fix);
}

/** What has this name itself, and not what every object has, such as `constructor`. */
export const named = <T>(all: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(all, name) ? all[name] : undefined;

/** After a command was refused as wrong: was it only the name of the group? */
export async function suggestGroup(
  client: AdminClient,
  group: string,
  found: Trouble,
): Promise<Fallible<never>> {
  const asIs = trouble(found.status, found.says, found.fix);
  if (found.status !== exitStatus.wrong) return asIs;
  const status = await client.status();
  if (status.kind === 'error' || Object.hasOwn(status.value.groups, group)) return asIs;
  return unknownName('group', group, Object.keys(status.value.groups).sort());
}
