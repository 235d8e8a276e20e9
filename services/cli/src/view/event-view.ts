/** The history, oldest first. */
import type { admin } from '@holdfast/proto';
import { isoTime, shownTime } from '../text/amounts.ts';
import { cell, columns, table, type Row } from '../text/columns.ts';
import type { Paint } from '../text/paint.ts';

export interface EventView {
  readonly id: string;
  readonly time: string | null;
  readonly group: string | null;
  readonly server: string | null;
  readonly kind: string;
  readonly reason: string;
  /** Null where no epoch plays a part. */
  readonly epoch: string | null;
  /** What the decision was made from; null where nothing was decided. */
  readonly inputs: unknown;
}

export function eventView(event: admin.Event): EventView {
  return {
    id: event.id,
    time: isoTime(event.timeMs),
    group: event.group === '' ? null : event.group,
    server: event.server === '' ? null : event.server,
    kind: event.kind,
    reason: event.reason,
    epoch: event.epoch === 0n ? null : event.epoch.toString(),
    inputs: event.inputs === '' ? null : (JSON.parse(event.inputs) as unknown),
  };
}

function row(event: EventView, wide: boolean): Row {
  return [
    cell(shownTime(Date.parse(event.time ?? '')), 'dim'),
    event.group ?? '-',
    event.server ?? '-',
    cell(event.kind, 'bold'),
    ...(wide ? [event.epoch ?? '-', event.id] : []),
    event.reason,
  ];
}

export function eventsLines(events: readonly EventView[], paint: Paint, wide: boolean): string[] {
  if (events.length === 0) return ['no events yet'];
  const heading = ['TIME (UTC)', 'GROUP', 'SERVER', 'KIND', ...(wide ? ['EPOCH', 'ID'] : []), 'REASON'];
  return table(
    heading,
    events.map((event) => row(event, wide)),
    paint,
  );
}

/** One event as it happens: later ones are not known, so that nothing is aligned with them. */
export function eventLine(event: EventView, paint: Paint, wide: boolean): string {
  return columns([row(event, wide)], paint).join('');
}
