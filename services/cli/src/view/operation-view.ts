/** Operations for scripts and for people. */
import type { admin } from '@holdfast/proto';
import { isoTime, shownTime, stepTime, whole } from '../text/amounts.ts';
import { cell, columns, table, type Row } from '../text/columns.ts';
import { styleOf, type Paint } from '../text/paint.ts';

export interface StepView {
  readonly name: string;
  readonly server: string;
  readonly ms: number | null;
  readonly outcome: string;
  readonly says?: string;
}

export interface OperationView {
  readonly operation: string;
  readonly group: string;
  readonly kind: string;
  readonly outcome: string;
  readonly from: string | null;
  readonly to: string | null;
  readonly by: string;
  readonly reason: string;
  readonly started: string | null;
  readonly ended: string | null;
  readonly steps: readonly StepView[];
}

export function operationView(operation: admin.Operation): OperationView {
  return {
    operation: operation.id,
    group: operation.group,
    kind: operation.kind,
    outcome: operation.outcome,
    from: operation.from === '' ? null : operation.from,
    to: operation.to === '' ? null : operation.to,
    by: operation.by,
    reason: operation.reason,
    started: isoTime(operation.startedMs),
    ended: isoTime(operation.endedMs),
    steps: operation.steps.map(({ name, server, ms, outcome, says }) => ({
      name,
      server,
      ms: whole(ms),
      outcome,
      ...(says !== '' && { says }),
    })),
  };
}

export function stepRow(step: StepView): Row {
  const { server, name, ms, outcome, says } = step;
  return [server, name, ms === null ? '' : stepTime(ms), cell(outcome, styleOf(outcome)), says ?? ''];
}

/** "switchover of d3 from a to b". */
export function operationTitle({ kind, group, from, to }: OperationView): string {
  const [source, target] = [from === null ? '' : ` from ${from}`, to === null ? '' : ` to ${to}`];
  return `${kind} of ${group}${source}${target}`;
}

/** One operation in full. */
export function operationLines(view: OperationView, paint: Paint): string[] {
  const rows: Row[] = [
    ['operation', view.operation],
    ['what', operationTitle(view)],
    ['outcome', cell(view.outcome, styleOf(view.outcome))],
    ['by', view.by],
    ['reason', view.reason],
    ['started', view.started ?? '-'],
    ['ended', view.ended ?? '-'],
  ];
  const steps = columns(view.steps.map(stepRow), paint).map((line) => `  ${line}`);
  return [...columns(rows, paint), ...(steps.length === 0 ? [] : ['steps', ...steps])];
}

export function operationsLines(views: readonly OperationView[], paint: Paint): string[] {
  if (views.length === 0) return ['no operations yet'];
  const rows = views.map((view): Row => [
    view.operation,
    view.group,
    view.kind,
    `${view.from ?? '-'} > ${view.to ?? '-'}`,
    cell(view.outcome, styleOf(view.outcome)),
    shownTime(Date.parse(view.started ?? '')),
    view.reason,
  ]);
  return table(['OPERATION', 'GROUP', 'KIND', 'FROM > TO', 'OUTCOME', 'STARTED', 'REASON'], rows, paint);
}
