/** Where the demo speaks: colours and one line that changes on a terminal, plain lines elsewhere. */
import { styleText } from 'node:util';

export type Style = 'plain' | 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan' | 'magenta';

export interface Screen {
  readonly isTty: boolean;
  readonly colours: boolean;
  paint(style: Style, text: string): string;
  line(text?: string): void;
  /** A step of the story. */
  title(text: string): void;
  /** Replaces the line before it on a terminal; elsewhere it is printed when `key` is new. */
  live(key: string, text: string): void;
  /** The changing line stays as it is. */
  settle(): void;
}

const clearLine = '\r\u001B[K';

export function processScreen(wantsColours: boolean): Screen {
  const { stdout, env } = process;
  const isTty = stdout.isTTY;
  const colours = wantsColours && isTty && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
  let open = false;
  let lastKey = '';
  const paint = (style: Style, text: string): string =>
    colours && style !== 'plain' && text !== '' ? styleText(style, text) : text;
  const settle = (): void => {
    if (open) stdout.write('\n');
    open = false;
  };
  const line = (text = ''): void => {
    settle();
    stdout.write(`${text}\n`);
  };
  return {
    isTty,
    colours,
    paint,
    line,
    title: (text) => line(`\n${paint('bold', text)}`),
    live: (key, text) => {
      if (isTty) {
        stdout.write(`${clearLine}  ${text}`);
        open = true;
      } else if (key !== lastKey) stdout.write(`  ${text}\n`);
      lastKey = key;
    },
    settle,
  };
}
