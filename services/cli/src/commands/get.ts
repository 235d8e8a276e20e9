/** `holdfast get servers|groups|mirrors|operations|events [NAME]`: lists, or one of them. */
import type { AdminClient } from '../admin-client.ts';
import { ask, withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import type { Shown } from '../show.ts';
import { named, unknownName } from '../suggest.ts';
import { count } from '../text/amounts.ts';
import { ok, wrong, type Ended, type Fallible } from '../trouble.ts';
import { groupLines } from '../view/group-lines.ts';
import { operationLines, operationsLines, operationView } from '../view/operation-view.ts';
import { eventsLines, type EventView } from '../view/event-view.ts';
import { mirrorLines } from '../view/mirror-lines.ts';
import { serverLines } from '../view/server-lines.ts';
import { statusView } from '../view/status-view.ts';
import { showOrWatch } from '../watch.ts';
import { historyOf } from './events.ts';
import { allMirrors } from './mirror.ts';

export const kinds = ['servers', 'groups', 'mirrors', 'operations', 'events'] as const;
type Kind = (typeof kinds)[number];

export interface GetOptions {
  readonly watch?: boolean;
}

const isKind = (text: string): text is Kind => kinds.some((kind) => kind === text);
/** `get group d3` is what people type. */
const kindOf = (text: string): Kind | undefined => [text, `${text}s`].find(isKind);

export async function get(
  context: Context,
  what: string,
  name: string | undefined,
  options: GetOptions,
): Promise<Ended> {
  const kind = kindOf(what);
  if (kind === undefined)
    return wrong(`there is no list of ${JSON.stringify(what)}`, `The lists are: ${kinds.join(', ')}.`);
  return withCluster(context, (client) =>
    showOrWatch(context, options.watch ?? false, () => take(client, kind, name)),
  );
}

function take(client: AdminClient, kind: Kind, name: string | undefined): Promise<Fallible<Shown>> {
  switch (kind) {
    case 'servers':
    case 'groups':
      return fromStatus(client, kind, name);
    case 'mirrors':
      return mirrors(client, name);
    case 'operations':
      return name === undefined ? operations(client) : operation(client, name);
    case 'events':
      return events(client, name);
  }
}

async function fromStatus(
  client: AdminClient,
  kind: 'servers' | 'groups',
  name: string | undefined,
): Promise<Fallible<Shown>> {
  const reply = await ask(client.status(), 'status');
  if (reply.kind === 'error') return reply;
  const view = statusView(reply.value);
  const nowMs = Date.parse(view.time ?? '');
  if (name === undefined) {
    const all = Object.entries<object>(view[kind]).map(([key, value]) => ({ name: key, ...value }));
    return ok({
      value: all,
      lines: (paint, wide) =>
        kind === 'servers'
          ? serverLines(view.servers, paint, wide)
          : groupLines(view.groups, nowMs, paint, wide),
    });
  }
  if (kind === 'servers') {
    const server = named(view.servers, name);
    if (server === undefined) return unknownName('server', name, Object.keys(view.servers));
    return ok({ value: { name, ...server }, lines: (paint) => serverLines({ [name]: server }, paint, true) });
  }
  const group = named(view.groups, name);
  if (group === undefined) return unknownName('group', name, Object.keys(view.groups));
  return ok({
    value: { name, ...group },
    lines: (paint) => groupLines({ [name]: group }, nowMs, paint, true),
  });
}

async function mirrors(client: AdminClient, name: string | undefined): Promise<Fallible<Shown>> {
  const reply = await ask(client.status(), 'status');
  if (reply.kind === 'error') return reply;
  const all = allMirrors(statusView(reply.value));
  if (name === undefined) {
    const value = Object.entries(all).map(([key, view]) => ({ name: key, ...view }));
    return ok({ value, lines: (paint, wide) => mirrorLines(all, paint, wide) });
  }
  const found = named(all, name);
  if (found === undefined) return unknownName('mirror', name, Object.keys(all));
  return ok({ value: { name, ...found }, lines: (paint) => mirrorLines({ [name]: found }, paint, true) });
}

async function operations(client: AdminClient): Promise<Fallible<Shown>> {
  const reply = await ask(client.listOperations({ group: '' }), 'list operations');
  if (reply.kind === 'error') return reply;
  const views = reply.value.operations.map(operationView);
  return ok({ value: views, lines: (paint) => operationsLines(views, paint) });
}

async function operation(client: AdminClient, id: string): Promise<Fallible<Shown>> {
  const answer = await client.getOperation({ id });
  if (answer.kind === 'error' && answer.error.kind === 'not-found') {
    const all = await ask(client.listOperations({ group: '' }), 'list operations');
    return all.kind === 'error'
      ? all
      : unknownName(
          'operation',
          id,
          all.value.operations.map((one) => one.id),
        );
  }
  const reply = await ask(Promise.resolve(answer), 'get the operation');
  if (reply.kind === 'error') return reply;
  const view = operationView(reply.value);
  return ok({ value: view, lines: (paint) => operationLines(view, paint) });
}

async function events(client: AdminClient, id: string | undefined): Promise<Fallible<Shown>> {
  const history = await historyOf(client, { group: '', limit: 0 });
  if (history.kind === 'error') return history;
  if (id === undefined) return ok(eventsShown(history.value));
  const one = history.value.find((event) => event.id === id);
  if (one !== undefined) return ok({ value: one, lines: (paint) => eventsLines([one], paint, true) });
  const fix = `The history has ${count(history.value.length, 'event')}; \`holdfast get events -o wide\` shows their names.`;
  return wrong(`there is no event ${JSON.stringify(id)}`, fix);
}

export const eventsShown = (all: readonly EventView[]): Shown => ({
  value: all,
  lines: (paint, wide) => eventsLines(all, paint, wide),
});
