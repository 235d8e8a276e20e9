/** Colours, and only where a terminal shows them. */
// terminal.ts has judged the stream and NO_COLOR already.
import { styleText } from 'node:util';

export type Style = 'plain' | 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';
export type Paint = (style: Style, text: string) => string;

export const paintWith =
  (colours: boolean): Paint =>
  (style, text) =>
    colours && style !== 'plain' && text !== '' ? styleText(style, text, { validateStream: false }) : text;

/** The style of a state, wherever one is shown. */
export function styleOf(state: string): Style {
  switch (state) {
    case 'up':
    case 'active':
    case 'running':
    case 'done':
    case 'healthy':
    case 'replicating':
      return 'green';
    case 'suspect':
    case 'starting':
    case 'stopping':
    case 'releasing':
    case 'leaving':
    case 'failing-over':
    case 'awaiting-approval':
    case 'rolling-back':
    case 'rolled-back':
    case 'one-way':
    case 'initial-copy':
    case 'resync':
    case 'paused':
    case 'waiting':
    case 'disconnected':
    case 'unknown':
      return 'yellow';
    case 'down':
    case 'fenced':
    case 'failed':
    case 'blocked':
    case 'diverged':
    case 'denied':
      return 'red';
    case 'observe':
      return 'cyan';
    default:
      return 'plain';
  }
}
