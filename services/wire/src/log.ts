/**
 * What a process tells people: one line per event on standard error, JSON for machines, words on a terminal.
 * Level: HOLDFAST_LOG = error | warn | info | debug. Standard output belongs to the answers of commands.
 */
import { jsonLine } from './log-line.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export type LogFields = Readonly<Record<string, unknown>>;

/** `kind`: a short fixed name of the event. `reason`: one sentence for a person. */
export interface Log {
  error(kind: string, reason: string, fields?: LogFields): void;
  warn(kind: string, reason: string, fields?: LogFields): void;
  info(kind: string, reason: string, fields?: LogFields): void;
  debug(kind: string, reason: string, fields?: LogFields): void;
}

export interface LogOptions {
  /** agent, quorum, run, cli ... */
  readonly process: string;
  readonly member: string;
  readonly level?: string;
  readonly terminal?: boolean;
  readonly stream?: NodeJS.WritableStream;
}

const levels: readonly LogLevel[] = ['error', 'warn', 'info', 'debug'];

interface Line {
  readonly level: LogLevel;
  readonly kind: string;
  readonly reason: string;
  readonly fields: LogFields | undefined;
}

function forPeople({ process: from, member }: LogOptions, { level, kind, reason, fields }: Line): string {
  const time = new Date().toISOString().slice(11, 23);
  const rest = fields === undefined ? '' : ` ${jsonLine(fields)}`;
  return `${time} ${level.toUpperCase().padEnd(5)} ${member}/${from} ${kind}: ${reason}${rest}`;
}

function forMachines({ process: from, member }: LogOptions, { level, kind, reason, fields }: Line): string {
  return jsonLine({ time: new Date().toISOString(), level, process: from, member, kind, reason, ...fields });
}

export function createLog(options: LogOptions): Log {
  const wanted = options.level ?? process.env['HOLDFAST_LOG'] ?? 'info';
  const level = levels.find((known) => known === wanted) ?? 'info';
  const text = (options.terminal ?? process.stderr.isTTY) ? forPeople : forMachines;
  const stream = options.stream ?? process.stderr;
  const at =
    (to: LogLevel) =>
    (kind: string, reason: string, fields?: LogFields): void => {
      if (levels.indexOf(to) > levels.indexOf(level)) return;
      stream.write(`${text(options, { level: to, kind, reason, fields })}\n`);
    };
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}
