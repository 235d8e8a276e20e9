/**
 * Draws what a client saw: one block per 100 ms, in the colour of the server that answered; a dot where nobody did. Under
 * it, where an epoch began and what was done to the cluster.
 */
import type { Visit } from './visits.ts';

export type Ink = (server: string | null, text: string) => string;

export interface Mark {
  readonly atMs: number;
  readonly text: string;
}

const cellMs = 100;
const rowCells = 70;

interface Cell {
  readonly startMs: number;
  readonly server: string | null;
}

/** Two servers within one block show as a question: who answered last is drawn. */
function cellsOf(visits: readonly Visit[], fromMs: number, toMs: number): Cell[] {
  const count = Math.max(1, Math.ceil((toMs - fromMs) / cellMs));
  const cells: Cell[] = [];
  for (let index = 0; index < count; index += 1) {
    const startMs = fromMs + index * cellMs;
    const inside = visits.filter(({ atMs }) => atMs >= startMs && atMs < startMs + cellMs);
    cells.push({ startMs, server: inside.at(-1)?.server ?? null });
  }
  return cells;
}

/** Where each epoch was first seen. */
export function epochMarks(visits: readonly Visit[]): Mark[] {
  return visits.flatMap((visit, index) =>
    visits[index - 1]?.epoch === visit.epoch
      ? []
      : [{ atMs: visit.atMs, text: `${visit.server}, epoch ${visit.epoch}` }],
  );
}

/**
 * Lines of text. `plain` writes the servers' names instead of blocks, for where there are no colours.
 * Marks outside the time that is drawn are left out.
 */
export function timeline(
  visits: readonly Visit[],
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  marks: readonly Mark[],
  ink: Ink,
  plain: boolean,
): string[] {
  const cells = cellsOf(visits, fromMs, toMs);
  const lines: string[] = [];
  for (let start = 0; start < cells.length; start += rowCells) {
    const row = cells.slice(start, start + rowCells);
    const seconds = ((start * cellMs) / 1000).toFixed(1).padStart(5);
    const drawn = row.map(({ server }) =>
      server === null ? ink(null, '.') : ink(server, plain ? server : '█'),
    );
    lines.push(`${seconds} s ${drawn.join('')}`);
    const rowFromMs = fromMs + start * cellMs;
    const here = marks.filter(({ atMs }) => atMs >= rowFromMs && atMs < rowFromMs + row.length * cellMs);
    for (const { atMs, text } of here) {
      const at = Math.floor((atMs - rowFromMs) / cellMs);
      lines.push(`        ${' '.repeat(at)}^ ${text}`);
    }
  }
  return lines;
}
