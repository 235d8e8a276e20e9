/** Rows in columns, without lines between them: easy to read, and to cut with awk. */
import type { Paint, Style } from './paint.ts';

export interface Cell {
  readonly text: string;
  readonly style: Style;
}

export type Row = readonly (string | Cell)[];

export const cell = (text: string, style: Style = 'plain'): Cell => ({ text, style });

const gap = '  ';
const asCell = (value: string | Cell): Cell => (typeof value === 'string' ? cell(value) : value);

/**
 * Aligns the columns; the last of a row is not padded. With a heading, an empty column is left out; an empty cell
 * reads "-", so that every row has as many words as the heading.
 */
export function columns(rows: readonly Row[], paint: Paint): string[] {
  const cells = rows.map((row) => row.map(asCell));
  const widths: number[] = [];
  for (const row of cells)
    for (const [index, { text }] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, text.length);
  return cells.map((row) =>
    row
      .map(({ text, style }, index) => {
        const padding = index === row.length - 1 ? 0 : (widths[index] ?? 0) - text.length;
        return paint(style, text) + ' '.repeat(padding);
      })
      .join(gap)
      .trimEnd(),
  );
}

/** A heading and its rows. */
export function table(heading: readonly string[], rows: readonly Row[], paint: Paint): string[] {
  const filled = rows.map((row) =>
    row.map((value) => (asCell(value).text === '' ? cell('-', 'dim') : value)),
  );
  return columns([heading.map((text) => cell(text, 'bold')), ...filled], paint);
}
