/** `holdfast replay EVENT`: makes a recorded decision again, from what it was made from then, by this version's rules. */
import {
  decideAgain,
  heardAt,
  parseDecision,
  reportFor,
  type Decision,
  type Judgement,
} from '@holdfast/core';
import type { admin } from '@holdfast/proto';
import { ask, withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { amountOfTime, shownTime } from '../text/amounts.ts';
import type { Paint } from '../text/paint.ts';
import { ok, sentence, wrong, type Ended, type Fallible } from '../trouble.ts';
import { eventView, type EventView } from '../view/event-view.ts';

interface Replay {
  readonly event: EventView;
  readonly again: {
    /** As an event's; `would-have`: what is in its reason; `nothing`: it would not have acted; `refused`: it would not have obeyed. */
    readonly kind: string;
    readonly reason: string;
    readonly epoch: string | null;
  };
  readonly same: boolean;
}

/** Status 1 when it would be decided otherwise now. */
export function replay(context: Context, id: string): Promise<Ended> {
  return withCluster(context, async (client) => {
    const reply = await ask(client.getDecision({ event: id }), `replay ${id}`);
    if (reply.kind === 'error') {
      const isUnknown = reply.error.status === exitStatus.wrong;
      return isUnknown ? wrong(reply.error.says, '`holdfast events -o wide` shows their names.') : reply;
    }
    const { event, decision: kept } = reply.value;
    if (event === undefined) return wrong(`there is no event ${id}`);
    const decision = decisionOf(event, kept);
    if (decision.kind === 'error') return decision;
    const value = replayed(eventView(event), decideAgain(decision.value));
    await show(context, { value, lines: (paint) => prose(value, decision.value, paint) });
    return ok(value.same ? exitStatus.done : exitStatus.failed);
  });
}

function decisionOf({ id, kind }: admin.Event, kept: string): Fallible<Decision> {
  if (kept === '')
    return wrong(
      `${id} (${kind}) can't be made again: nothing was judged for it, or it is not kept any more`,
    );
  const parsed = parseDecision(kept);
  return parsed.kind === 'ok' ? ok(parsed.value) : wrong(`${id} can't be made again: ${parsed.says}`);
}

function replayed(event: EventView, judged: ReturnType<typeof decideAgain>): Replay {
  const again = 'refused' in judged ? { kind: 'refused', reason: judged.refused, epoch: null } : told(judged);
  const same = again.kind === event.kind && again.reason === event.reason && again.epoch === event.epoch;
  return { event, again, same };
}

function told({ change, reason, withheld }: Judgement): Replay['again'] {
  if (change === null)
    return { kind: withheld === undefined ? 'nothing' : 'would-have', reason, epoch: null };
  const { ownership, reason: recorded } = change.record;
  return { kind: change.what, reason: recorded, epoch: ownership.epoch.toString() };
}

function prose({ event, again, same }: Replay, { made, commanded }: Decision, paint: Paint): string[] {
  const { scene, config, record } = made;
  const own = record?.ownership;
  const owner =
    own === undefined || own.kind === 'unowned' ? 'nobody owned it' : `${own.owner} owned it (${own.kind})`;
  const known = config.servers.map((server) => {
    const renewal = scene.view.renewals.get(server);
    const ago = (at: number): string => `${amountOfTime(scene.now - at)} ago`;
    const renewed = renewal === undefined ? 'never renewed' : `renewed ${ago(renewal.changedAt)}`;
    const report = reportFor(scene, server, config.name);
    const said = report === null ? '' : `, said it was ${report.state} at epoch ${report.epoch.toString()}`;
    return `  ${paint('bold', server)}: heard ${ago(heardAt(scene, server))}, ${renewed}${said}`;
  });
  const { outageMs, waitMs } = config.rules;
  return [
    `${paint('bold', config.name)}: ${event.kind} at ${shownTime(Date.parse(event.time ?? ''))} (UTC), decided by ${scene.vantage.self}`,
    '',
    `What it knew: ${owner}, outage ${amountOfTime(outageMs)}, ${amountOfTime(waitMs)} to wait for what its owner may still do`,
    ...known,
    ...(commanded === null ? [] : [`  ${commanded.by} commanded: ${commanded.command.kind}`]),
    '',
    `Decided then: ${sentence(event.reason)}`,
    same
      ? `Decided now:  ${paint('green', 'the same')}${again.epoch === null ? '' : `, at epoch ${again.epoch}`}.`
      : `Decided now:  ${paint('yellow', again.kind)}: ${sentence(again.reason)}`,
  ];
}
